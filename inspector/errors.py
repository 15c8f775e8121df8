"""Every error a user can meet, as one tree; each has a stable code that logs, registers and manuals quote.

    InspectorError                      XXX-000
    ├── ConfigError (ValueError)        CFG-001  the YAML is wrong: all problems at once, with file:line:column
    ├── RingError                       RNG-001  the shared frame ring is not what was agreed
    ├── CameraError                     CAM-001  the camera process failed
    │   ├── ProducerError               CAM-002  the .cti file is missing, does not load, or offers no devices
    │   ├── DeviceError                 CAM-003  no camera fits, more than one fits, or it cannot be opened
    │   ├── FeatureError (ValueError)   CAM-004  the camera refused a feature, or lacks it
    │   ├── CameraLostError             CAM-005  a camera that ran is silent, gone, or sends other frames than agreed
    │   └── SimulatedCameraError        CAM-006  the camera is none, and the PLC must not see verdicts on its images
    ├── ModelError                      MOD-001  fitting, evaluating, or reading a model pack failed
    │   ├── WeightsError                MOD-002  the backbone's weight file is missing, altered or not plain weights
    │   ├── ImagesError                 MOD-003  a folder of images cannot be used: missing, empty, too few, unreadable
    │   ├── PackError                   MOD-004  a model pack is missing, truncated, altered or of a newer format
    │   └── NetworkError                MOD-005  a network given as ONNX cannot be used: inputs, outputs, operators, values
    ├── EngineError                     ENG-001  the engine cannot be opened or gave no usable score
    │   ├── EngineUnavailableError      ENG-002  the backend needs something this machine lacks: named in the message
    │   ├── GraphError                  ENG-003  the graph or plan file is damaged, unsupported, or not of our contract
    │   ├── ScoreError                  ENG-004  what came out is no score: not finite
    │   ├── EngineInputError (ValueError)      ENG-005  the frame or the geometry is not what the engine takes
    │   │   └── PoseError               ENG-009  the part lies further from the reference pose than the model allows
    │   ├── EngineTimeoutError (TimeoutError)  ENG-006  the device did not finish in time
    │   ├── EngineClosedError           ENG-007  used after close
    │   ├── DisagreementError           ENG-008  other scores than those the model pack was calibrated with
    │   └── DeviceLostError             ENG-010  the device failed in the middle of the work: only a new process gets it back
    ├── PlcError                        PLC-001  the PLC cannot be reached or answered wrongly
    │   ├── PlcTimeoutError (TimeoutError)  PLC-002  no answer within the call's time-out
    │   ├── RecipeError                 PLC-003  the PLC wants a recipe that is not loaded
    │   ├── PlcListenError              PLC-004  no listening at the address for the PLC
    │   ├── HeartbeatError              PLC-005  the PLC answers, but its heartbeat stands still
    │   ├── ForeignWriterError          PLC-006  somebody else writes our blocks in the PLC
    │   └── LostRequestError            PLC-007  which recipe the PLC asked for last is not known any more
    ├── ServiceError                    SVC-001  the surroundings: processes, sockets, folders
    │   ├── HungError                   SVC-002  a thread hangs: the process must end without it
    │   ├── NotRunningError             SVC-003  no daemon of this station answers
    │   └── DiskError                   SVC-004  the disk does not keep the state files
    └── LineError                       LIN-001  the line must stop or a person must look; latched until clear_fault
        ├── RejectsInARowError          LIN-002  too many rejects, one after the other
        ├── RejectRateError             LIN-003  too many rejects among the last parts
        ├── UnconfirmedRejectError      LIN-004  a rejected part was not seen to leave the line
        ├── BinFullError                LIN-005  the bin of rejected parts is full
        ├── LastingFaultError           LIN-006  a fault has not ended by itself
        ├── ChallengeFailedError        LIN-007  a challenge part did not come out as it must
        └── LostMemoryError             LIN-008  what was latched before the restart cannot be read any more

A message is one line: what was expected, what came, what to do next. No user sees a traceback.
"""


class InspectorError(Exception):
    """Root of the tree. `code` is stable; `str(error)` is one line for the user."""

    code = "XXX-000"


# -- configuration ------------------------------------------------------------------------------


class ConfigError(InspectorError, ValueError):
    """The configuration cannot be used. `problems` holds one line for each fault found."""

    code = "CFG-001"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


# -- ring ---------------------------------------------------------------------------------------


class RingError(InspectorError):
    """The shared memory does not hold the ring that was agreed."""

    code = "RNG-001"


# -- camera -------------------------------------------------------------------------------------


class CameraError(InspectorError):
    """The camera cannot be opened, refused a feature, or was lost."""

    code = "CAM-001"


class ProducerError(CameraError):
    """The GenTL producer (.cti file) is missing, does not load, or offers no devices."""

    code = "CAM-002"


class DeviceError(CameraError):
    """No camera fits `camera.device`, more than one does, or the one that fits cannot be opened."""

    code = "CAM-003"


class FeatureError(CameraError, ValueError):
    """The camera refused a feature or lacks it; the message names the feature, the value wanted and what is allowed."""

    code = "CAM-004"


class CameraLostError(CameraError):
    """A camera that ran is silent, gone, or sends other frames than agreed. Its process ends and is started anew."""

    code = "CAM-005"


class SimulatedCameraError(CameraError):
    """The camera is a simulated one, and nothing allows verdicts on its images to reach the PLC. It stays unused."""

    code = "CAM-006"


# -- model --------------------------------------------------------------------------------------


class ModelError(InspectorError):
    """Fitting, evaluating, or reading a model pack failed."""

    code = "MOD-001"


class WeightsError(ModelError):
    """The backbone's weight file is missing, altered, or asks for more than plain weights need."""

    code = "MOD-002"


class ImagesError(ModelError):
    """A folder of images cannot be used: missing, empty, too few for a threshold, or with an unreadable image."""

    code = "MOD-003"


class PackError(ModelError):
    """A model pack is missing, truncated, altered, or of a newer format. Nothing of it was used."""

    code = "MOD-004"


class NetworkError(ModelError):
    """A network given as an ONNX file cannot be used: its inputs, outputs, operators, or what it computes."""

    code = "MOD-005"


# -- engine -------------------------------------------------------------------------------------


class EngineError(InspectorError):
    """The engine cannot be opened, or what it answered is no score."""

    code = "ENG-001"


class EngineUnavailableError(EngineError):
    """The backend needs a package, a driver or a device that this machine lacks; the message names it."""

    code = "ENG-002"


class GraphError(EngineError):
    """The graph (or the plan built from it) is missing, damaged, unsupported, or breaks the graph contract."""

    code = "ENG-003"


class ScoreError(EngineError):
    """The graph ran, but what came out is not finite: never a number to compare with a threshold."""

    code = "ENG-004"


class EngineInputError(EngineError, ValueError):
    """A frame or a geometry is not what the engine takes: data type, shape, channels or region of interest."""

    code = "ENG-005"


class PoseError(EngineInputError):
    """The part is not found, or lies further from the reference pose than the model pack allows."""

    code = "ENG-009"


class EngineTimeoutError(EngineError, TimeoutError):
    """The device did not finish in time. It may still be busy: close the engine and open another."""

    code = "ENG-006"


class EngineClosedError(EngineError):
    """The engine was used after `close`."""

    code = "ENG-007"


class DisagreementError(EngineError):
    """The engine gives other scores than those the model pack was calibrated with."""

    code = "ENG-008"


class DeviceLostError(EngineError):
    """The device failed in the middle of the work, and so does all that this process asks of it from then on: start another."""

    code = "ENG-010"


# -- PLC ----------------------------------------------------------------------------------------


class PlcError(InspectorError):
    """The PLC cannot be reached, or its answer is wrong."""

    code = "PLC-001"


class PlcTimeoutError(PlcError, TimeoutError):
    """No answer within the call's time-out: the connection is closed, since a late answer would be taken for the next."""

    code = "PLC-002"


class RecipeError(PlcError):
    """The PLC wants a recipe that is not loaded. Its parts are rejected until it wants ours, or any."""

    code = "PLC-003"


class PlcListenError(PlcError):
    """In the server role: the address to listen at is not this machine's (yet), or its port is taken."""

    code = "PLC-004"


class HeartbeatError(PlcError):
    """The PLC answers, but its heartbeat stands still: its program does not run. Parts are rejected meanwhile."""

    code = "PLC-005"


class ForeignWriterError(PlcError):
    """What stands in our blocks is not what we wrote: another station has addresses of ours. No part passes."""

    code = "PLC-006"


class LostRequestError(PlcError):
    """Which recipe the PLC asked an earlier run for cannot be told: parts are rejected until it asks by number."""

    code = "PLC-007"


# -- service ------------------------------------------------------------------------------------


class ServiceError(InspectorError):
    """The surroundings fail: a process does not start, a port is busy, a folder cannot be written."""

    code = "SVC-001"


class HungError(ServiceError):
    """A thread does what it does for far too long, or does not stop. The process ends without waiting for it."""

    code = "SVC-002"


class NotRunningError(ServiceError):
    """No daemon of this station answers, or not to this user."""

    code = "SVC-003"


class DiskError(ServiceError):
    """The disk does not answer, or refuses: a stop or a counter could be lost with the power. Recipe changes wait. Never raised."""

    code = "SVC-004"


# -- the line -----------------------------------------------------------------------------------


class LineError(InspectorError):
    """What the interlock latches: shown until the PLC's clear_fault rises, also after a restart. Never raised."""

    code = "LIN-001"


class RejectsInARowError(LineError):
    """As many parts were rejected one after the other as `stops.rejects_in_a_row` says."""

    code = "LIN-002"


class RejectRateError(LineError):
    """As many of the last parts were rejected as `stops.reject_rate` says."""

    code = "LIN-003"


class UnconfirmedRejectError(LineError):
    """A rejected part was not seen to leave the line: it may be among the good ones."""

    code = "LIN-004"


class BinFullError(LineError):
    """The bin of rejected parts is full: the next reject would stay on the line."""

    code = "LIN-005"


class LastingFaultError(LineError):
    """A fault of the station has lasted for `stops.fault_ms`: nothing but rejects came meanwhile."""

    code = "LIN-006"


class ChallengeFailedError(LineError):
    """A challenge part did not come out as it must: what passed since the last challenge may be bad."""

    code = "LIN-007"


class LostMemoryError(LineError):
    """The file of what was latched is damaged: the line may have been stopped for a reason that nobody knows any more."""

    code = "LIN-008"


# -- numbers for the PLC ------------------------------------------------------------------------

_DOMAINS = ("CFG", "RNG", "CAM", "MOD", "ENG", "PLC", "SVC", "LIN")
UNCODED = 999  # the number of a text that begins with no code


def error_number(text: str) -> int:
    """Return the number that the status block shows for a text that begins with a code: CAM-003 is 303; else UNCODED."""
    domain, _, rest = text.partition("-")
    number = rest[:3]
    known = domain in _DOMAINS and number.isdigit()
    return (_DOMAINS.index(domain) + 1) * 100 + int(number) if known else UNCODED
