"""What must hold of a world's verdicts (I1..I6), by the world's own truth: verdict by verdict, and at the end."""

from collections import Counter

from inspector.part import Expected, Outcome, Reason, Verdict
from tests.property.scripts import BUDGET, MS, SCALE
from tests.property.world import World

SOON = 250 * MS  # budget, the longest that a thread or a read is held up, and a poll


class Judge:
    """Follows a world from its beginning; `look` may be called at any time, `end` when all must be decided."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._judged = 0  # verdicts
        self._decided: Counter[int] = Counter()
        self._passed_frames: set[int] = set()

    def look(self) -> None:
        """Judge what was decided since the last look, and whether anything should have been by now."""
        for t, verdict in self._world.verdicts[self._judged :]:
            self._decided[verdict.part_id] += 1
            self._judge(t, verdict)
        self._judged = len(self._world.verdicts)
        triggered = Counter(part_id for _, part_id, _ in self._world.triggers)
        assert self._decided <= triggered  # I1: none twice, and none that is not a part
        self._look_for_overdue()
        self._look_at_the_counters()

    def end(self) -> None:
        """Judge the whole."""
        self.look()
        # I1: each counted part exactly one verdict (an epoch counts from 1 again)
        assert self._decided == Counter(part_id for _, part_id, _ in self._world.triggers)
        assert self._world.ledger.waiting == 0

    def _judge(self, t: int, verdict: Verdict) -> None:
        assert (verdict.outcome is Outcome.PASS) == (verdict.reason is Reason.NONE)
        finding, recipe = verdict.finding, verdict.deciding.recipe
        if finding.score == finding.score:  # I6: the model that scored is the one that is named
            assert finding.score // SCALE == recipe
        if verdict.outcome is not Outcome.PASS:
            return
        assert verdict.expected is not Expected.BAD  # a challenge part that must not pass
        assert t < verdict.t_deadline_ns  # I2, I3
        shows = self._world.shown[verdict.frame_id]
        assert shows is not None
        assert shows[1:] == (verdict.part_id, True)  # I4: that very part, and it is good
        t_trigger = self._world.t_triggers[shows[:2]]
        assert verdict.t_trigger_ns <= t_trigger  # I2, by the world's own clock
        assert t < t_trigger + BUDGET
        assert self._world.asked[shows[:2]] == recipe  # I4: by the model of its product
        exposure = self._world.recipes[recipe].features["ExposureTime"]
        assert self._world.exposed_for[verdict.frame_id] == exposure
        assert verdict.frame_id not in self._passed_frames  # I4: a frame for one part
        self._passed_frames.add(verdict.frame_id)

    def _look_for_overdue(self) -> None:
        """I3: who has been read of for so long has a verdict."""
        world = self._world
        if not world.station_up:
            return
        due = max(
            (known for known, t_known in world.t_known if max(t_known, world.t_awake) + SOON < world.now),
            default=0,
        )
        missing = Counter(part_id for _, part_id, _ in world.triggers[:due]) - self._decided
        assert not missing

    def _look_at_the_counters(self) -> None:
        """I5: what the ledgers of all starts have counted is what they said."""
        said = Counter(verdict.reason for _, verdict in self._world.verdicts)
        assert self._world.totals() == said


def judge(world: World) -> None:
    """Judge a world that has come to its end."""
    Judge(world).end()
