/* stream_features.c - the features of the data stream, named as in the GenTL SFNC. */
#include "stream_features.h"

#include "simcam.h"

static const struct entry HANDLING_MODES[] = {
    {"OldestFirst", HANDLING_OLDEST_FIRST},
    {"OldestFirstOverwrite", HANDLING_OLDEST_FIRST_OVERWRITE},
    {"NewestOnly", HANDLING_NEWEST_ONLY},
    {0},
};

static const struct feature FEATURES[] = {
    {"StreamInformation", CATEGORY, .tip = "Which stream this is"},
    {"StreamID", STRING, REG_STREAM_ID, RO, .tip = "Id of the stream"},

    {"BufferHandlingControl", CATEGORY, .tip = "What happens to frames and buffers"},
    {"StreamBufferHandlingMode", ENUMERATION, REG_STREAM_BUFFER_HANDLING_MODE, RW,
     .entries = HANDLING_MODES,
     .tip = "What becomes of a frame for which no buffer is free, and of frames not yet fetched"},
    {"StreamAnnounceBufferMinimum", INTEGER, REG_STREAM_ANNOUNCE_BUFFER_MINIMUM, RO, .initial = 1,
     .tip = "Buffers needed to stream"},
    {"StreamAnnouncedBufferCount", INTEGER, REG_STREAM_ANNOUNCED_BUFFER_COUNT, RO, .wide = true,
     .tip = "Buffers announced"},
    {"StreamStartedFrameCount", INTEGER, REG_STREAM_STARTED_FRAME_COUNT, RO, .wide = true,
     .tip = "Frames that arrived since the stream was started"},
    {"StreamDeliveredFrameCount", INTEGER, REG_STREAM_DELIVERED_FRAME_COUNT, RO, .wide = true,
     .tip = "Frames fetched since the stream was started"},
    {"StreamLostFrameCount", INTEGER, REG_STREAM_LOST_FRAME_COUNT, RO, .wide = true,
     .tip = "Frames lost for want of a buffer, or given up for a newer one"},
    {"StreamInputBufferCount", INTEGER, REG_STREAM_INPUT_BUFFER_COUNT, RO, .wide = true,
     .tip = "Empty buffers waiting for frames"},
    {"StreamOutputBufferCount", INTEGER, REG_STREAM_OUTPUT_BUFFER_COUNT, RO, .wide = true,
     .tip = "Frames waiting to be fetched"},
    {"StreamIsGrabbing", BOOLEAN, REG_STREAM_IS_GRABBING, RO, .tip = "The stream is started"},
    {.kind = FEATURE_END},
};

const struct feature_map stream_map = {
    .features = FEATURES,
    .port_name = "StreamPort",
    .file_name = "simcam_stream.xml",
    .size = STREAM_REGISTERS_SIZE,
};
