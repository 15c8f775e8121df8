"""What the PLC thread of the client role does with the gate of direct mode (`direct.py`), here one that writes down what it hears."""

from inspector.part import Outcome, Verdict
from inspector.plc.client import PlcConnection
from inspector.plc.direct import NoGate
from tests.unit.plc.link_rig import ENABLED, FakeDesk, Link, clock, configured, verdict
from tests.unit.plc.scripted import PATIENCE_S, ScriptedPlc


class Told(NoGate):
    """A gate that remembers."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def take(self, verdict: Verdict) -> None:
        self.heard.append((verdict.part_id, verdict.outcome))

    def lose(self) -> None:
        self.heard.append("lose")

    def leave(self, connection: PlcConnection) -> None:
        self.heard.append("leave")


def gated(plc: ScriptedPlc, desk: FakeDesk) -> tuple[Link, Told]:
    plc.set_control(ENABLED)
    link = Link(configured(plc.port), 5000, desk, clock)
    link._gate = link._slots._gate = gate = Told()
    link.start()
    desk.wait_for(lambda: desk.ups == 1)
    return link, gate


def test_the_gate_hears_of_each_verdict_and_of_no_pass_after_its_time(
    plc: ScriptedPlc, desk: FakeDesk
) -> None:
    link, gate = gated(plc, desk)
    desk.file(verdict(3), verdict(2, passed=False), verdict(1, deadline_ms=0))
    link.wake()
    desk.wait_for(lambda: len(desk.written) == 3)
    assert gate.heard == [(3, Outcome.PASS), (2, Outcome.REJECT), (1, Outcome.REJECT)]
    link.stop(PATIENCE_S)


def test_the_gate_hears_of_a_lost_link_before_the_link_is_up_again(plc: ScriptedPlc, desk: FakeDesk) -> None:
    link, gate = gated(plc, desk)
    plc.drop()
    link.wake()
    desk.wait_for(lambda: desk.ups == 2)
    assert gate.heard == ["lose"]
    link.stop(PATIENCE_S)


def test_the_gate_is_closed_when_the_station_goes(plc: ScriptedPlc, desk: FakeDesk) -> None:
    link, gate = gated(plc, desk)
    link.stop(PATIENCE_S)
    assert gate.heard == ["leave"]
