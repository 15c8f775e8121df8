"""What the server role and direct mode demand of their keys."""

import pytest

from tests.unit.config.smallest import SMALLEST, Write, problems, read

GATE = "coil: 3, delay_ms: 150, width_ms: 20"


@pytest.mark.parametrize(
    ("plc", "problem"),
    [
        ("role: serve", "plc.role: expected 'client' or 'server', came"),
        ("server: {peers: [plc.example]}", "plc.server.peers[0]: 'plc.example' does not appear to be an IPv4 or IPv6"),
        ("server: {connections: 0}", "plc.server.connections: expected"),
        (
            "role: server, registers: {vision_status_address: 210}",
            "plc.registers: expected blocks that stand apart, came: status block",
        ),
        (
            f"role: server, direct: {{{GATE}}}",
            "plc.direct.coil: expected plc.role: client, since a coil is written by a client",
        ),
        (
            "direct: {coil: 3, delay_ms: 99, width_ms: 20}",
            "plc.direct.delay_ms: expected at least station.budget_ms (100), came 99",
        ),
        ("direct: {coil: 3, delay_ms: 150}", "plc.direct: expected either delay_ms and width_ms, or delay_counts"),
        (
            f"direct: {{{GATE}, encoder_address: 9}}",
            "plc.direct: expected either delay_ms and width_ms, or delay_counts",
        ),
        ("direct: {delay_ms: 150, width_ms: 20}", "plc.direct: expected a coil beside the other keys"),
        (
            "direct: {coil: 3, delay_counts: 5000, width_counts: 100, encoder_address: 127}",
            "plc.direct.encoder_address: expected words outside of the results block (0..127), came 127",
        ),
        (
            "direct: {coil: 3, delay_counts: 5000, width_counts: 100, encoder_address: 65535}",
            "plc.direct.encoder_address: expected 2 words up to address 65535, came 65535",
        ),
        ("server: {peers: []}", "plc.server.peers: "),
        (
            f"direct: {{{GATE}, coil_means: reject}}",
            "plc.direct: expected coil_means: pass, since with reject a part passes whenever",
        ),
    ],
)  # fmt: skip
def test_a_wrong_plc_is_a_problem(write: Write, plc: str, problem: str) -> None:
    found = problems(write(SMALLEST + f"plc: {{{plc}}}\n"))
    assert any(problem in each for each in found), found


@pytest.mark.parametrize(
    "plc",
    [
        "registers: {vision_status_address: 210}",  # not used in the client role
        "role: server, server: {address: eth1, peers: [192.168.1.0/24, 10.0.0.1, '::1']}",
        f"direct: {{{GATE}}}",
        f"direct: {{{GATE}, coil_means: reject, silence_may_release: true}}",
        "direct: {coil: 3, delay_counts: 5000, width_counts: 100, encoder_address: 400}",
    ],
)
def test_a_right_plc_is_none(write: Write, plc: str) -> None:
    read(write(SMALLEST + f"plc: {{{plc}}}\n"))


@pytest.mark.parametrize("peer", ["192.168.0.10", "127.0.0.0/7"])
def test_a_simulated_station_serves_its_machine_alone(write: Write, peer: str) -> None:
    text = SMALLEST.replace("  name:", "  simulated: true\n  name:")
    text += f"plc:\n  role: server\n  server: {{peers: [127.0.0.1, {peer}]}}\n"
    (found,) = problems(write(text))
    assert (
        f"plc.server.peers: expected a PLC of this machine, since the station is simulated, came {peer}"
        in found
    )
    assert read(write(text + "  allow_simulated: true\n")).plc.role == "server"


def test_people_are_told_where_the_plc_is_or_where_it_finds_us(write: Write) -> None:
    assert read(write(SMALLEST + "plc: {host: 10.0.0.9, port: 5020}\n")).plc.where == "10.0.0.9:5020"
    served = read(write(SMALLEST + "plc: {role: server, host: 10.0.0.9, server: {address: eth1}}\n"))
    assert served.plc.where == "served at eth1:502"
