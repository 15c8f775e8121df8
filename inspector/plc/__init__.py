"""The PLC side: one register map, and the Modbus connection that carries it."""
