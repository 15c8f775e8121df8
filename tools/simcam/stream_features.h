/* stream_features.h - the register addresses of the data stream's features. */
#ifndef SIMCAM_STREAM_FEATURES_H
#define SIMCAM_STREAM_FEATURES_H

#include "feature.h"

#define STREAM_ID "stream0"

enum stream_register {
    REG_STREAM_ID = 0x00,
    REG_STREAM_ANNOUNCED_BUFFER_COUNT = 0x40,
    REG_STREAM_DELIVERED_FRAME_COUNT = 0x48,
    REG_STREAM_LOST_FRAME_COUNT = 0x50,
    REG_STREAM_INPUT_BUFFER_COUNT = 0x58,
    REG_STREAM_OUTPUT_BUFFER_COUNT = 0x60,
    REG_STREAM_STARTED_FRAME_COUNT = 0x68,
    REG_STREAM_BUFFER_HANDLING_MODE = 0x70,
    REG_STREAM_ANNOUNCE_BUFFER_MINIMUM = 0x74,
    REG_STREAM_IS_GRABBING = 0x78,
    STREAM_REGISTERS_SIZE = 0x80,
};

extern const struct feature_map stream_map;

#endif
