"""A rehearsal: the whole line on a folder of good and a folder of bad images, with the daemon as it runs on the line PC.

    images ──► simcam (GenTL producer) ──► inspector run ──Modbus──► linesim (conveyor, PLC, gate, judge)
                   ▲                                                      │
                   └───────────────────── Line0 pulses ───────────────────┘

`folders` chooses the images and makes the camera's files of them, `station` derives the configuration and runs the daemon, `run`
ties the three processes together, `live` shows them, `result` joins linesim's record with the daemon's, `verify`
scores each image again to see that no part was decided by another's picture, `sheet` draws the mistakes.
"""
