"""From one recipe to the next: what the PLC asks for, which engines are warm, what the camera is set to.

    asked for ──► the parts of the former one have their verdicts ──► engine warm, camera set ──► active
                  (only where engine or camera have to change: else it is active once the disk has what was asked for)

While no recipe is active the station is not ready, and parts that are counted are rejected. A part that was counted before is
decided by the recipe of that time. Not thread-safe: the desk guards it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from inspector.camera.base import FeatureValue
from inspector.engine.worker import Load
from inspector.errors import LostRequestError, RecipeError
from inspector.ledger import Ledger
from inspector.open_part import Note
from inspector.part import Deciding, Verdict

Features = Mapping[str, FeatureValue]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a product needs. `features` are all that the camera is set to, in their order."""

    deciding: Deciding
    features: Features = field(default_factory=dict)

    @property
    def number(self) -> int:
        """By which the PLC asks for it."""
        return self.deciding.recipe


class Changeover:
    """The recipe that is wanted, the one that is active, and what lies between."""

    def __init__(
        self, recipes: Mapping[int, Recipe], first: int, ledger: Ledger, *, keep_warm: int, lost: bool = False
    ) -> None:
        """`first`: the recipe until the PLC asks for one. `keep_warm`: engines kept open, the active one's included.

        `lost`: an earlier run was asked for one, and nobody knows which. `first` is made ready, and becomes active when it is asked
        for: it may be the wrong product's.
        """
        # Sets the camera's features; returns the first generation of frames that is taken with them.
        self.change_camera: Callable[[Features], int] = lambda _: 0
        # Keeps what was asked for: a PLC that asks for nothing wants that one, also of a station that was started anew.
        self.keep: Callable[[int], None] = lambda _: None
        # Whether it would be known after a loss of power too: before that no part passes by it.
        self.is_kept: Callable[[], bool] = lambda: True
        self.active: Recipe | None = None
        self.refused = 0  # the number that the PLC asks for and that no recipe has
        self._lost = lost
        self._recipes = recipes
        self._wanted = recipes[first]
        self._ledger = ledger
        self._keep_warm = keep_warm
        self._nobody = Deciding(config_sha256=self._wanted.deciding.config_sha256)
        self._warm: list[int] = []  # the one that was active last is the last
        self._features = self._wanted.features  # what the camera was told
        self._generation = 0  # of the camera's frames now
        self._since = 0  # the first generation with these features
        self._notes: list[Note] = []
        self._ledger.on_recipe(self._nobody, ready=False)
        if lost:
            why = LostRequestError(
                "expected to find which recipe the PLC asked for last, but that is lost, or the configuration has it no more; "
                "have the PLC write the number of the product on the line into recipe_request"
            )
            self._note("recipe_lost", code=why.code, why=str(why))

    @property
    def fault(self) -> str:
        """The code of what keeps every recipe from becoming active, "" where nothing does."""
        if self.refused:
            return RecipeError.code
        return LostRequestError.code if self._lost else ""

    @property
    def wanted(self) -> int:
        """The number of the recipe that is to decide, active or not yet. Any thread: the answer may be a moment old."""
        return self._wanted.number

    # -- what happens -----------------------------------------------------------------------------

    def ask(self, number: int) -> None:
        """Take what the PLC asks for, before the ledger counts the parts of the same read: nobody knows which came first.

        0 asks for nothing: what was wanted last stays, also over a restart (`keep`).
        """
        known = number == 0 or number in self._recipes
        if not known and number != self.refused:
            numbers = ", ".join(map(str, sorted(self._recipes)))
            why = RecipeError(
                f"the PLC wants recipe {number}, expected one of {numbers}; correct recipe_request, or add it to recipes"
            )
            self._note("recipe_refused", code=why.code, why=str(why))
        self.refused = 0 if known else number
        if number and known:
            self.keep(
                number
            )  # also the one to begin with: the configuration may begin with another one some day
        if number and known and (self._lost or self._recipes[number] is not self._wanted):
            self._lost = False
            self._wanted = self._recipes[number]
            self._note("recipe_asked_for", recipe=number, warm=str(number in self._warm).lower())
        if self.active is not None and (self.refused or self.active is not self._wanted):
            self._deactivate()

    def opened(self, number: int) -> None:
        """Take note that this recipe's engine is warm."""
        self._warm.append(number)

    def engines_lost(self) -> None:
        """Take note that no engine is open any more."""
        self._warm.clear()
        if self.active is not None:
            self._deactivate()

    def camera_up(self, generation: int) -> None:
        """Take note of the camera's newest generation."""
        self._generation = generation

    # -- what follows -----------------------------------------------------------------------------

    def proceed(self, t_ns: int) -> list[Verdict]:
        """Take the next step that can be taken now; return what became final by it. After whatever happened, and each read."""
        verdicts: list[Verdict] = []
        if self.active is not None or self.fault:
            return verdicts
        if self._features != self._wanted.features and self._drained:
            self._features = self._wanted.features
            verdicts = self._ledger.on_camera_down(t_ns, why="the camera changes for a recipe")
            self._since = self.change_camera(self._features)
        camera_set = self._features == self._wanted.features and self._generation >= self._since
        if camera_set and self._wanted.number in self._warm and self.is_kept():
            self._activate()
        return verdicts

    def next_load(self) -> Load | None:
        """Return which engine to open now and which to close for it; None where there is nothing to do."""
        number = self._wanted.number
        if number in self._warm or not self._drained:
            return None
        surplus = len(self._warm) + 1 - self._keep_warm
        dropped = tuple(self._warm[: max(0, surplus)])
        del self._warm[: len(dropped)]
        return Load(number, dropped)

    def notes(self) -> list[Note]:
        """Return what happened since the last call, for the log."""
        taken, self._notes = self._notes, []
        return taken

    # -- within -----------------------------------------------------------------------------------

    @property
    def _drained(self) -> bool:
        """Whether no counted part waits for a verdict: none is decided late because of us, nor by a camera half changed."""
        return self._ledger.next_expiry_ns() is None

    def _activate(self) -> None:
        self.active = self._wanted
        number = self._wanted.number
        self._warm.remove(number)
        self._warm.append(number)
        self._ledger.on_recipe(self._wanted.deciding, ready=True)
        self._note("recipe_active", recipe=number, model=self._wanted.deciding.model_sha256)

    def _deactivate(self) -> None:
        self.active = None
        self._ledger.on_recipe(self._nobody, ready=False)

    def _note(self, event: str, **fields: int | str) -> None:
        self._notes.append(Note(event, fields))
