/* module_features.c - the features of system, interface and (local) device. */
#include "module_features.h"

#include "simcam.h"

enum { TYPE_CUSTOM = 0 };
static const struct entry TYPES[] = {{SIMCAM_TLTYPE, TYPE_CUSTOM}, {0}};

static const struct feature SYSTEM_FEATURES[] = {
    {"SystemInformation", CATEGORY, .tip = "Which producer this is"},
    {"TLID", STRING, REG_TL_ID, RO, .tip = "Id of the producer"},
    {"TLVendorName", STRING, REG_TL_VENDOR_NAME, RO, .tip = "Vendor"},
    {"TLModelName", STRING, REG_TL_MODEL_NAME, RO, .tip = "Model"},
    {"TLVersion", STRING, REG_TL_VERSION, RO, .tip = "Version"},
    {"TLType", ENUMERATION, REG_TL_TYPE, RO, .entries = TYPES, .tip = "Transport layer"},
    {"GenTLVersionMajor", INTEGER, REG_GENTL_VERSION_MAJOR, RO, .initial = SIMCAM_GENTL_MAJOR,
     .tip = "Version of the GenTL standard"},
    {"GenTLVersionMinor", INTEGER, REG_GENTL_VERSION_MINOR, RO, .initial = SIMCAM_GENTL_MINOR,
     .tip = "Version of the GenTL standard"},
    {.kind = FEATURE_END},
};

static const struct feature INTERFACE_FEATURES[] = {
    {"InterfaceInformation", CATEGORY, .tip = "Which interface this is"},
    {"InterfaceID", STRING, REG_INTERFACE_ID, RO, .tip = "Id of the interface"},
    {"InterfaceType", ENUMERATION, REG_INTERFACE_TYPE, RO, .entries = TYPES,
     .tip = "Transport layer"},
    {"DeviceEnumeration", CATEGORY, .tip = "The devices on the interface"},
    {"DeviceUpdateList", COMMAND, REG_DEVICE_UPDATE_LIST, WO, .tip = "Look for devices"},
    {"DeviceCount", INTEGER, REG_DEVICE_COUNT, RO, .tip = "Devices of the latest update"},
    {.kind = FEATURE_END},
};

static const struct feature LOCAL_DEVICE_FEATURES[] = {
    {"DeviceInformation", CATEGORY, .tip = "Which device this is"},
    {"DeviceID", STRING, REG_LOCAL_DEVICE_ID, RO, .tip = "Id of the device"},
    {"DeviceVendorName", STRING, REG_LOCAL_DEVICE_VENDOR_NAME, RO, .tip = "Vendor"},
    {"DeviceModelName", STRING, REG_LOCAL_DEVICE_MODEL_NAME, RO, .tip = "Model"},
    {"DeviceSerialNumber", STRING, REG_LOCAL_DEVICE_SERIAL_NUMBER, RO, .tip = "Serial number"},
    {"DeviceType", ENUMERATION, REG_LOCAL_DEVICE_TYPE, RO, .entries = TYPES,
     .tip = "Transport layer"},
    {.kind = FEATURE_END},
};

const struct feature_map system_map = {
    .features = SYSTEM_FEATURES,
    .port_name = "TLPort",
    .file_name = "simcam_system.xml",
    .size = SYSTEM_REGISTERS_SIZE,
};

const struct feature_map interface_map = {
    .features = INTERFACE_FEATURES,
    .port_name = "InterfacePort",
    .file_name = "simcam_interface.xml",
    .size = INTERFACE_REGISTERS_SIZE,
};

const struct feature_map local_device_map = {
    .features = LOCAL_DEVICE_FEATURES,
    .port_name = "DevicePort",
    .file_name = "simcam_local_device.xml",
    .size = LOCAL_DEVICE_REGISTERS_SIZE,
};
