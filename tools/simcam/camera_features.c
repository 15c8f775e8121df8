/* camera_features.c - the features of the camera (remote device), named as in the SFNC. */
#include "camera_features.h"

#include "simcam.h"

static const struct entry PIXEL_FORMATS[] = {
    {"Mono8", PFNC_MONO8},         {"Mono12", PFNC_MONO12},       {"Mono12p", PFNC_MONO12P},
    {"BayerGR8", PFNC_BAYER_GR8},  {"BayerRG8", PFNC_BAYER_RG8},  {"BayerGB8", PFNC_BAYER_GB8},
    {"BayerBG8", PFNC_BAYER_BG8},  {"RGB8", PFNC_RGB8},           {0}};
static const struct entry ACQUISITION_MODES[] = {{"Continuous", ACQUISITION_CONTINUOUS},
                                                 {"SingleFrame", ACQUISITION_SINGLE_FRAME},
                                                 {"MultiFrame", ACQUISITION_MULTI_FRAME},
                                                 {0}};
static const struct entry TRIGGER_SELECTORS[] = {{"FrameStart", 0}, {0}};
static const struct entry OFF_ON[] = {{"Off", 0}, {"On", 1}, {0}};
static const struct entry TRIGGER_SOURCES[] = {
    {"Software", TRIGGER_SOURCE_SOFTWARE}, {"Line0", TRIGGER_SOURCE_LINE0}, {0}};
static const struct entry TRIGGER_ACTIVATIONS[] = {{"RisingEdge", 0}, {"FallingEdge", 1}, {0}};
static const struct entry CHUNKS[] = {{"FrameID", CHUNK_FRAME_ID},
                                      {"Timestamp", CHUNK_TIMESTAMP},
                                      {"ExposureTime", CHUNK_EXPOSURE_TIME},
                                      {0}};

#define MAX_SIDE 32768

static const struct feature FEATURES[] = {
    {"DeviceControl", CATEGORY, .tip = "Who the camera is"},
    {"DeviceVendorName", STRING, REG_DEVICE_VENDOR_NAME, RO, .tip = "Vendor"},
    {"DeviceModelName", STRING, REG_DEVICE_MODEL_NAME, RO, .tip = "Model"},
    {"DeviceVersion", STRING, REG_DEVICE_VERSION, RO, .tip = "Version of the producer"},
    {"DeviceSerialNumber", STRING, REG_DEVICE_SERIAL_NUMBER, RO, .tip = "Serial number"},
    {"DeviceUserID", STRING, REG_DEVICE_USER_ID, RW, .tip = "Name given by the user"},
    {"DeviceTemperature", FLOAT, REG_DEVICE_TEMPERATURE, RO, .unit = "C",
     .tip = "Temperature of the sensor: warms up after the device is opened"},
    {"TimestampLatch", COMMAND, REG_TIMESTAMP_LATCH, WO, .tip = "Read the camera's clock"},
    {"TimestampLatchValue", INTEGER, REG_TIMESTAMP_LATCH_VALUE, RO, .wide = true, .unit = "ns",
     .tip = "The clock (CLOCK_MONOTONIC) when TimestampLatch was executed"},

    {"ImageFormatControl", CATEGORY, .tip = "Size and format of the frames"},
    {"SensorWidth", INTEGER, REG_SENSOR_WIDTH, RO, .initial = 640, .tip = "Width of the images"},
    {"SensorHeight", INTEGER, REG_SENSOR_HEIGHT, RO, .initial = 480, .tip = "Height of the images"},
    {"WidthMax", INTEGER, REG_WIDTH_MAX, RO, .initial = MAX_SIDE, .tip = "Largest Width"},
    {"HeightMax", INTEGER, REG_HEIGHT_MAX, RO, .initial = MAX_SIDE, .tip = "Largest Height"},
    {"Width", INTEGER, REG_WIDTH, RW, .locked = true, .min = 1, .initial = 640,
     .max_feature = "WidthMax", .tip = "Width of the frames; beyond the image they are black"},
    {"Height", INTEGER, REG_HEIGHT, RW, .locked = true, .min = 1, .initial = 480,
     .max_feature = "HeightMax", .tip = "Height of the frames; beyond the image they are black"},
    {"OffsetX", INTEGER, REG_OFFSET_X, RW, .max = MAX_SIDE,
     .tip = "Column of the image where the frames begin"},
    {"OffsetY", INTEGER, REG_OFFSET_Y, RW, .max = MAX_SIDE,
     .tip = "Row of the image where the frames begin"},
    {"PixelFormat", ENUMERATION, REG_PIXEL_FORMAT, RW, .locked = true, .entries = PIXEL_FORMATS,
     .initial = PFNC_MONO8, .tip = "Images are converted to it"},
    {"PayloadSize", INTEGER, REG_PAYLOAD_SIZE, RO, .wide = true, .unit = "B",
     .tip = "Bytes of a frame with its chunks"},

    {"AcquisitionControl", CATEGORY, .tip = "When frames are taken"},
    {"AcquisitionMode", ENUMERATION, REG_ACQUISITION_MODE, RW, .locked = true,
     .entries = ACQUISITION_MODES, .tip = "How many frames AcquisitionStart asks for"},
    {"AcquisitionStart", COMMAND, REG_ACQUISITION_START, WO, .tip = "Start; frame ids begin at 1"},
    {"AcquisitionStop", COMMAND, REG_ACQUISITION_STOP, WO,
     .tip = "Stop; an exposure under way is given up"},
    {"AcquisitionFrameCount", INTEGER, REG_ACQUISITION_FRAME_COUNT, RW, .locked = true, .min = 1,
     .max = 1e6, .initial = 1, .tip = "Frames in MultiFrame mode"},
    {"AcquisitionFrameRate", FLOAT, REG_ACQUISITION_FRAME_RATE, RW, .min = 0.1, .max = 10000,
     .initial = 50, .unit = "Hz", .tip = "Frames a second while TriggerMode is Off"},
    {"ExposureTime", FLOAT, REG_EXPOSURE_TIME, RW, .min = 1, .max = 1e7, .initial = 1000,
     .unit = "us", .tip = "From the trigger to the frame; the picture does not change"},
    {"TriggerSelector", ENUMERATION, REG_TRIGGER_SELECTOR, RW, .entries = TRIGGER_SELECTORS,
     .selects = "TriggerMode", .tip = "What is triggered"},
    {"TriggerMode", ENUMERATION, REG_TRIGGER_MODE, RW, .entries = OFF_ON,
     .tip = "Off: free run at AcquisitionFrameRate"},
    {"TriggerSource", ENUMERATION, REG_TRIGGER_SOURCE, RW, .entries = TRIGGER_SOURCES,
     .tip = "TriggerSoftware, or pulses from the control socket"},
    {"TriggerActivation", ENUMERATION, REG_TRIGGER_ACTIVATION, RW, .entries = TRIGGER_ACTIVATIONS,
     .tip = "A pulse has both edges at the same time"},
    {"TriggerSoftware", COMMAND, REG_TRIGGER_SOFTWARE, WO, .tip = "Take a frame"},

    {"ChunkDataControl", CATEGORY, .tip = "Data that travels with the frames"},
    {"ChunkModeActive", BOOLEAN, REG_CHUNK_MODE_ACTIVE, RW, .locked = true,
     .tip = "Send the enabled chunks"},
    {"ChunkSelector", ENUMERATION, REG_CHUNK_SELECTOR, RW, .entries = CHUNKS,
     .selects = "ChunkEnable", .tip = "The chunk that ChunkEnable is about"},
    {"ChunkEnable", BOOLEAN, REG_CHUNK_ENABLE, RW, .locked = true, .initial = 1,
     .tip = "Send the selected chunk"},
    {"ChunkFrameID", INTEGER, .access = RO, .wide = true,
     .chunk_id = CHUNK_ID_BASE + CHUNK_FRAME_ID, .tip = "Counts exposures from 1"},
    {"ChunkTimestamp", INTEGER, .access = RO, .wide = true, .unit = "ns",
     .chunk_id = CHUNK_ID_BASE + CHUNK_TIMESTAMP, .tip = "Start of the exposure"},
    {"ChunkExposureTime", FLOAT, .access = RO, .unit = "us",
     .chunk_id = CHUNK_ID_BASE + CHUNK_EXPOSURE_TIME, .tip = "ExposureTime of this frame"},

    {"TransportLayerControl", CATEGORY, .tip = "For the transport layer"},
    {"TLParamsLocked", INTEGER, REG_TL_PARAMS_LOCKED, RW, .max = 1, .invisible = true,
     .tip = "1 while the application streams: the size of a frame is fixed"},
    {.kind = FEATURE_END},
};

const struct feature_map camera_map = {
    .features = FEATURES,
    .port_name = "Device",
    .file_name = "simcam_device.xml",
    .size = CAMERA_REGISTERS_SIZE,
};
