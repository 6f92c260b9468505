#!/usr/bin/env python3
"""What Python does with the same files, as files per CPU-second, as JSON.

    peers_bench.py <directory> [rounds]

quick: soundfile.info, which is what lhotse, torchaudio and Hugging Face datasets use. full: soundfile.read, then LUFS by
pyloudnorm, RMS and clipping by numpy. Finding the files is part of both. The best of `rounds` counts. Needs soundfile,
pyloudnorm and numpy.
"""

import json
import sys
import time
from pathlib import Path

import numpy
import pyloudnorm
import soundfile


def quick(path):
    info = soundfile.info(path)
    return info.frames, info.samplerate, info.channels


def full(path):
    samples, rate = soundfile.read(path)
    loudness = None
    if len(samples) >= 0.4 * rate:
        loudness = pyloudnorm.Meter(rate).integrated_loudness(samples)
    rms = numpy.sqrt(numpy.mean(numpy.square(samples))) if len(samples) else 0.0
    clipped = numpy.mean(numpy.abs(samples) >= 1.0) if len(samples) else 0.0
    return loudness, rms, clipped


def measure(directory, look, rounds):
    best_cpu = best_wall = files = 0
    for _ in range(rounds):
        cpu, wall, done = time.process_time(), time.perf_counter(), 0
        while time.process_time() - cpu < 1.0:
            files = 0
            for path in Path(directory).rglob("*.wav"):
                try:
                    look(str(path))
                except (soundfile.LibsndfileError, ValueError):
                    pass
                files += 1
            done += files
        best_cpu = max(best_cpu, done / (time.process_time() - cpu))
        best_wall = max(best_wall, done / (time.perf_counter() - wall))
    return {"files": files, "files_per_cpu_second": round(best_cpu), "files_per_second": round(best_wall)}


if __name__ == "__main__":
    directory, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    # One thread, as on our side; numpy would otherwise start its own for nothing.
    print(json.dumps({"quick": measure(directory, quick, rounds), "full": measure(directory, full, rounds)}))
