"""The fault proxy's schedule and framing: what is read, what is refused, and what a seed draws."""

import asyncio
import socket
from pathlib import Path

import pytest

from tools.faultproxy import framing
from tools.faultproxy.cli import main
from tools.faultproxy.faults import FAULTS, Fault, InputError
from tools.faultproxy.schedule import Script, draw_schedule, parse_schedule, read_schedule, write_schedule

READ = bytes.fromhex("0007 0000 0006 01 03 012c 0006")
WRITE = bytes.fromhex("0008 0000 0009 01 10 0000 0001 02 5a5a")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"do": "reset"}, "file: expected a list of {at_request: N, do: ...}, got dict"),
        ([{"do": "reset"}], "file: entry 1: expected the keys at_request or at_s, do and perhaps args"),
        ([{"at_request": 1, "at_s": 1, "do": "reset"}], "entry 1: expected one of at_request and at_s"),
        (
            [{"at_request": 0, "do": "reset"}],
            "entry 1: expected at_request to be a whole number from 1, got: 0",
        ),
        ([{"at_request": True, "do": "reset"}], "expected at_request to be a whole number from 1, got: True"),
        ([{"at_s": -1, "do": "reset"}], "entry 1: expected at_s to be seconds from 0, got: -1"),
        ([{"at_s": float("nan"), "do": "reset"}], "expected at_s to be seconds from 0, got: nan"),
        ([{"at_s": 1, "do": "rest"}], "entry 1: expected do to be one of delay, black_hole, half_reply"),
        ([{"at_s": 1, "do": "delay", "args": {"s": 1}}], "entry 1: expected args with ms, of for delay"),
        ([{"at_s": 1, "do": "duplicate_write", "args": {"ms": 1}}], "expected no args for duplicate_write"),
        (
            [{"at_s": 1, "do": "delay", "args": {"ms": -1}}],
            "expected ms to be a number in 0..3600000, got: -1",
        ),
        (
            [{"at_s": 1, "do": "delay", "args": {"ms": "5"}}],
            "expected ms to be a number in 0..3600000, got: 5",
        ),
        (
            [{"at_s": 1, "do": "delay", "args": {"of": "both"}}],
            "expected of to be request or reply, got: both",
        ),
        ([{"at_s": 1, "do": "exception", "args": {"code": 1.5}}], "expected code to be a number in 1..255"),
        ([{"at_s": 1, "do": "reset"}, 7], "file: entry 2: expected the keys"),
    ],
)
def test_a_wrong_schedule_is_refused_in_one_line_that_names_the_entry(entries: object, said: str) -> None:
    with pytest.raises(InputError) as error:
        parse_schedule(entries, "file")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_yaml_is_read(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("- {at_request: 3, do: delay, args: {ms: 40, of: request}}\n- {at_s: 2.5, do: refuse}\n")
    assert [step.entry() for step in read_schedule(path)] == [
        {"at_request": 3, "do": "delay", "args": {"ms": 40, "of": "request"}},
        {"at_s": 2.5, "do": "refuse", "args": {"ms": 500.0}},
    ]


@pytest.mark.parametrize("text", ["- [", "\t"])
def test_what_is_not_yaml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"faults.yaml: expected YAML or JSON, got: "):
        read_schedule(path)


def test_a_drawn_schedule_depends_on_its_seed_and_survives_the_file(tmp_path: Path) -> None:
    path = tmp_path / "drawn.json"
    drawn = draw_schedule(5, requests=20_000, every=20)
    assert drawn == draw_schedule(5, requests=20_000, every=20) != draw_schedule(6, requests=20_000, every=20)
    write_schedule(path, drawn)
    assert [step.entry() for step in read_schedule(path)] == [step.entry() for step in drawn]
    assert {step.do for step in drawn} == set(FAULTS)
    assert len(drawn) == pytest.approx(1000, rel=0.1)
    numbers = [step.at_request or 0 for step in drawn]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] <= 20_000


def test_each_request_is_struck_by_one_step_at_most_and_none_is_forgotten() -> None:
    script = Script(
        parse_schedule(
            [
                {"at_request": 2, "do": "duplicate_write"},
                {"at_request": 2, "do": "reset"},
                {"at_s": 1.0, "do": "wrong_id"},
            ],
            "here",
        )
    )

    def strike(number: int, t_s: float, request: bytes) -> str:
        def fits(fault: Fault) -> bool:
            return fault.name != "duplicate_write" or framing.is_write(request)

        return script.take(number, t_s, fits)[1].name

    assert [
        strike(1, 0.0, WRITE),
        strike(2, 0.5, READ),
        strike(3, 0.9, READ),
        strike(4, 0.9, WRITE),
        strike(5, 1.0, WRITE),
        strike(6, 1.1, WRITE),
    ] == ["none", "reset", "none", "duplicate_write", "wrong_id", "none"]


def frames_of(data: bytes) -> list[bytes | None]:
    async def read() -> list[bytes | None]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        frames = [await framing.read_frame(reader)]
        while frames[-1] is not None:
            frames.append(await framing.read_frame(reader))
        return frames

    return asyncio.run(read())


def test_a_stream_is_cut_into_frames() -> None:
    assert frames_of(READ + WRITE + READ[:9]) == [READ, WRITE, None]


@pytest.mark.parametrize("data", ["0001 0001 0006 01 03 0000 0001", "0001 0000 0001 01", "0001 0000 00ff 01"])
def test_what_is_not_modbus_is_refused(data: str) -> None:
    with pytest.raises(framing.FramingError, match="expected a Modbus TCP header, got: 00 01"):
        frames_of(bytes.fromhex(data))


def test_the_few_things_known_of_a_frame() -> None:
    assert framing.transaction(READ) == 7
    assert framing.with_transaction(READ, 65536 + 9) == b"\x00\x09" + READ[2:]
    assert (framing.is_write(READ), framing.is_write(WRITE)) == (False, True)
    assert framing.exception_reply(WRITE, 4).hex() == "000800000003019004"
    assert framing.question(READ) == framing.question(framing.with_transaction(READ, 1))
    assert framing.question(READ) != framing.question(READ[:-1] + b"\x05")


def test_the_command_says_in_one_line_what_it_cannot_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        peer = ["--peer", "127.0.0.1:502"]
        for argv, said in (
            (["--peer", "plc"], "expected --peer HOST:PORT, got: plc"),
            ([*peer, "--schedule", "random:x"], "expected --schedule random:SEED with a whole number"),
            ([*peer, "--schedule", str(tmp_path / "no")], "expected a readable schedule, got: No such file"),
            ([*peer, "--schedule", "random:1", "--every", "0"], "expected --requests and --every from 1"),
            ([*peer, "--port", str(port)], f"expected a free port at 127.0.0.1:{port}, got: "),
            ([*peer, "--write-schedule", str(tmp_path)], "expected a place to write the schedule, got: "),
        ):
            assert main(argv) == 2
            error = capsys.readouterr().err
            assert error.startswith("faultproxy: ")
            assert said in error
            assert error.count("\n") == 1
