//! audio.scan: facts, faults and exports of a directory of audio files.
