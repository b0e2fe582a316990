//! S2, S3, S5 to S7, S12, S16, S17, S19: shares, ends and the one budget for memory.
