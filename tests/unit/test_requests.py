"""What a command at the shell may ask of the station, over a real socket; the desk is the test's."""

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.challenge import ChallengePart, Report, Result
from inspector.errors import NotRunningError, ServiceError
from inspector.part import Deciding, Expected, Finding, Outcome, Reason, Verdict
from inspector.requests import BUSY, Requests
from inspector.safeguards import Progress
from inspector.service.local_socket import Caller, Listener, Message

DECIDING = Deciding(threshold=2.0, recipe=3, model_sha256="m" * 64, config_sha256="c" * 64)
NOTHING_YET = Progress(begun=False, parts=(), report=None)
PATIENCE_S = 10.0


class FakeDesk:
    """One challenge at a time, whose progress the test sets."""

    def __init__(self) -> None:
        self.asked_by: list[str] = []
        self.withdrawn: list[int] = []
        self.free = True
        self.progress = NOTHING_YET
        self.ready = True
        self.lacks = ""

    def ask_challenge(self, asked_by: str) -> int | None:
        self.asked_by.append(asked_by)
        return 7 if self.free else None

    def withdraw_challenge(self, ticket: int) -> None:
        self.withdrawn.append(ticket)

    def summary(self) -> str:
        return self.lacks

    def challenge_progress(self, ticket: int) -> Progress:
        assert ticket == 7
        return self.progress


def part(part_id: int, score: float = 3.0) -> ChallengePart:
    finding = Finding(score, score / 2, 7.0)
    verdict = Verdict(part_id, Outcome.REJECT, Reason.SCORE, 0, 1, 1, 5, finding, DECIDING, Expected.BAD)
    return ChallengePart(verdict, right=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Longer than the kernel takes for a socket."""
    folder = tmp_path / ("state" * 20)
    folder.mkdir()
    return folder / "cell.sock"


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def requests(path: Path, desk: FakeDesk) -> Iterator[Requests]:
    requests = Requests(path, desk)
    yield requests
    requests.close()


def heard(caller: Caller) -> Message:
    message = caller.receive(PATIENCE_S)
    assert message is not None
    return message


def test_a_challenge_is_followed_to_its_end(requests: Requests, desk: FakeDesk, path: Path) -> None:
    with Caller(path) as caller:
        caller.send({"do": "challenge"})
        requests.look()
        assert heard(caller) == {"said": "asked"}
        assert desk.asked_by == [pwd.getpwuid(os.getuid()).pw_name]
        first, second = part(8), part(9, score=float("nan"))
        desk.progress = Progress(begun=True, parts=(first,), report=None)
        requests.look()
        requests.look()
        assert heard(caller) == {"said": "begun"}
        told = heard(caller)
        assert (told["said"], told["part_id"], told["score"]) == ("part", 8, 3.0)
        report = Report(7, "anna", (Expected.BAD,) * 2, (first, second), Result.PASSED, "")
        desk.progress = Progress(begun=True, parts=report.parts, report=report)
        requests.look()
        assert heard(caller)["score"] is None  # JSON has no NaN
        over = heard(caller)
        assert (over["said"], over["result"], over["model"]) == ("over", "passed", "m" * 64)
        assert [one["part_id"] for one in over["parts"]] == [8, 9]
    requests.look()
    assert desk.withdrawn == []


def test_what_the_station_lacks_is_said_once(requests: Requests, desk: FakeDesk, path: Path) -> None:
    desk.ready, desk.lacks = False, "not ready, PLC down, camera down"
    with Caller(path) as caller:
        caller.send({"do": "challenge"})
        requests.look()
        requests.look()
        assert heard(caller) == {"said": "asked"}
        assert heard(caller) == {"said": "waiting", "why": desk.lacks}
        desk.lacks = "not ready, PLC up, camera down"
        requests.look()
        assert heard(caller) == {"said": "waiting", "why": desk.lacks}
        desk.ready, desk.progress = True, Progress(begun=True, parts=(), report=None)
        requests.look()
        assert heard(caller) == {"said": "begun"}


def test_a_command_that_goes_ends_its_challenge(requests: Requests, desk: FakeDesk, path: Path) -> None:
    with Caller(path) as caller:
        caller.send({"do": "challenge"})
        requests.look()
    requests.look()
    requests.look()
    assert desk.withdrawn == [7]


def test_where_one_runs_another_is_refused(requests: Requests, desk: FakeDesk, path: Path) -> None:
    desk.free = False
    with Caller(path) as caller:
        caller.send({"do": "challenge"})
        requests.look()
        assert heard(caller) == {"said": "refused", "why": BUSY}
        with pytest.raises(NotRunningError):
            caller.receive(PATIENCE_S)


def test_a_second_command_is_turned_away_and_disturbs_nothing(
    requests: Requests, desk: FakeDesk, path: Path
) -> None:
    with Caller(path) as caller:
        caller.send({"do": "challenge"})
        requests.look()
        assert heard(caller) == {"said": "asked"}
        for asks_early in (True, False):
            with Caller(path) as second:
                if asks_early:
                    second.send({"do": "challenge"})
                requests.look()
                if not asks_early:
                    second.send({"do": "challenge"})
                assert heard(second) == {"said": "refused", "why": BUSY}
        requests.look()
        desk.progress = Progress(begun=True, parts=(), report=None)
        requests.look()
        assert heard(caller) == {"said": "begun"}
    assert desk.asked_by == desk.asked_by[:1]


@pytest.mark.parametrize("message", [{"do": "coffee"}, {}])
def test_what_it_does_not_know_is_refused(requests: Requests, path: Path, message: Message) -> None:
    with Caller(path) as caller:
        caller.send(message)
        requests.look()
        assert heard(caller)["said"] == "refused"


def test_noise_is_hung_up_on(requests: Requests, path: Path) -> None:
    for noise in (b"{", b"[1]", b"\xff"):
        with Caller(path) as caller:
            caller._socket.send(noise)
            requests.look()
            with pytest.raises(NotRunningError):
                caller.receive(PATIENCE_S)


def test_nobody_else_may_open_it_and_it_goes_with_the_station(path: Path, desk: FakeDesk) -> None:
    requests = Requests(path, desk)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    requests.close()
    assert not path.exists()
    with pytest.raises(
        NotRunningError, match=r"expected a running daemon at .*start it with `inspector run`"
    ):
        Caller(path)


def test_a_socket_that_a_dead_daemon_left_is_no_daemon_and_in_nobodys_way(path: Path, desk: FakeDesk) -> None:
    left = Listener(path)
    left._socket.close()
    with pytest.raises(NotRunningError, match="expected a running daemon"):
        Caller(path)
    Requests(path, desk).close()


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path, desk: FakeDesk) -> None:
    with pytest.raises(ServiceError, match=r"expected to listen at .*see station\.state_folder"):
        Requests(tmp_path / "nowhere" / "x.sock", desk)
    with pytest.raises(NotRunningError, match="expected a running daemon"):
        Caller(tmp_path / "nowhere" / "x.sock")


def test_a_daemon_that_says_nothing_is_not_waited_for(requests: Requests, path: Path) -> None:
    with Caller(path) as caller:
        assert caller.receive(0.001) is None
