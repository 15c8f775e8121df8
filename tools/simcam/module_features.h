/* module_features.h - the features of system, interface and (local) device. */
#ifndef SIMCAM_MODULE_FEATURES_H
#define SIMCAM_MODULE_FEATURES_H

#include "feature.h"

enum system_register {
    REG_TL_ID = 0x000,
    REG_TL_VENDOR_NAME = 0x040,
    REG_TL_MODEL_NAME = 0x080,
    REG_TL_VERSION = 0x0C0,
    REG_TL_TYPE = 0x100,
    REG_GENTL_VERSION_MAJOR = 0x104,
    REG_GENTL_VERSION_MINOR = 0x108,
    SYSTEM_REGISTERS_SIZE = 0x140,
};

enum interface_register {
    REG_INTERFACE_ID = 0x000,
    REG_INTERFACE_TYPE = 0x040,
    REG_DEVICE_UPDATE_LIST = 0x044,
    REG_DEVICE_COUNT = 0x048,
    INTERFACE_REGISTERS_SIZE = 0x080,
};

enum local_device_register {
    REG_LOCAL_DEVICE_ID = 0x000,
    REG_LOCAL_DEVICE_VENDOR_NAME = 0x040,
    REG_LOCAL_DEVICE_MODEL_NAME = 0x080,
    REG_LOCAL_DEVICE_SERIAL_NUMBER = 0x0C0,
    REG_LOCAL_DEVICE_TYPE = 0x100,
    LOCAL_DEVICE_REGISTERS_SIZE = 0x140,
};

extern const struct feature_map system_map;
extern const struct feature_map interface_map;
extern const struct feature_map local_device_map;

#endif
