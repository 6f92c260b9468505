#!/usr/bin/env python3
"""Holds a full scan against the tools that others use.

    peers.py <directory> <manifest.jsonl> [<exports>]

Facts must equal soundfile.info on every file that both read; LUFS must lie within 0.1 of pyloudnorm where both define it; the
exports must load in lhotse, in Hugging Face datasets and in the readers of NeMo and Coqui, of which the reading half is
repeated here (both packages are too heavy for a test). What is not installed is skipped and said so.

Where the two loudnesses differ by design: BS.1770 gates whole blocks of 400 ms that start every 100 ms, and leaves out what
follows the last. pyloudnorm rounds the number of blocks, so that a last block that is cut short counts as if it were quieter:
up to half an LU on files of a second. Both see the same blocks of audio that ends on a whole tenth of a second, so the audio is
cut there for pyloudnorm. Its default weighting is also another approximation than that of libebur128, from which it offers
"DeMan" as well: against the first 0.1 LU is held, against the second 0.002 (0.02 for lossy codecs, whose decoders differ).
"""

import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

SUBTYPES = {
    "PCM_U8": "pcm_u8", "PCM_16": "pcm_s16", "PCM_24": "pcm_s24", "PCM_32": "pcm_s32", "FLOAT": "pcm_f32", "DOUBLE": "pcm_f64",
    "ALAW": "alaw", "ULAW": "mulaw", "VORBIS": "vorbis", "OPUS": "opus", "MPEG_LAYER_III": "mp3", "IMA_ADPCM": "adpcm_ima",
    "MS_ADPCM": "adpcm_ms", "GSM610": "gsm",
}
# Issues under which libsndfile is known to see something else, mostly less.
DISPUTED = {"truncated", "size_unknown", "data_size_zero", "partial_frame", "header_inconsistent", "is_mp3", "extension_mismatch"}


def codes(row):
    return {issue["code"] for issue in row.get("issues", [])}


def check_facts(root, rows):
    import soundfile

    compared = disputed = 0
    for row in rows:
        facts = row.get("facts")
        if facts is None or row.get("path_escaped") or facts.get("actual_frames") is None:
            continue
        try:
            info = soundfile.info(str(root / row["path"]))
        except soundfile.LibsndfileError as error:
            assert codes(row), f"{row['path']}: nothing wrong found, but libsndfile says {error}"
            continue
        if codes(row) & DISPUTED:
            disputed += 1
            continue
        seen = (info.samplerate, info.channels, info.frames, SUBTYPES.get(info.subtype, info.subtype))
        # libsndfile calls 16 and 24 bits of FLAC by their width; the codec is FLAC all the same.
        codec = seen[3] if facts["container"] not in ("flac", "aiff") else facts["codec"]
        ours = (facts["sample_rate"], facts["channels"], facts["actual_frames"], facts["codec"])
        if facts["container"] == "mp3":
            # Encoders pad; readers differ in whether they remove it.
            assert seen[:2] == ours[:2] and abs(seen[2] - ours[2]) <= 2 * 1152 + 1105, (row["path"], seen, ours)
        elif facts["codec"] == "opus":
            # Opus is always decoded at 48 kHz (RFC 7845); libsndfile states the rate before encoding, and drops the start-up.
            assert seen[1] == ours[1] and abs(seen[2] / seen[0] - ours[2] / ours[0]) < 0.02, (row["path"], seen, ours)
        elif facts["codec"] in ("gsm", "adpcm_ima", "adpcm_ms"):
            # libsndfile counts whole blocks, we what the fact chunk says of the last one.
            assert (seen[0], seen[1], seen[3]) == (ours[0], ours[1], ours[3]) and abs(seen[2] - ours[2]) < 2048, (row["path"], seen, ours)
        else:
            assert (*seen[:3], codec) == ours, (row["path"], seen, ours)
        compared += 1
    print(f"facts: {compared} files equal soundfile.info, {disputed} not compared because of an issue that it does not report")


def check_loudness(root, rows):
    import numpy
    import pyloudnorm
    import soundfile

    warnings.simplefilter("ignore")
    held = 0
    worst = {"K-weighting": 0.0, "DeMan": 0.0}
    uncut = 0.0
    for row in rows:
        lufs = row.get("signal", {}).get("lufs")
        if lufs is None or row.get("path_escaped") or codes(row) & (DISPUTED | {"not_finite"}) or row["facts"]["channels"] > 5:
            continue
        samples, rate = soundfile.read(str(root / row["path"]))
        step = (rate + 5) // 10
        cut = samples[: len(samples) // step * step]
        exact = 0.002 if row["facts"]["codec"].startswith("pcm") or row["facts"]["codec"] == "flac" else 0.02
        for weighting, limit in (("K-weighting", 0.1), ("DeMan", exact)):
            theirs = pyloudnorm.Meter(rate, filter_class=weighting).integrated_loudness(cut)
            assert abs(theirs - lufs) <= limit, (row["path"], weighting, lufs, theirs)
            worst[weighting] = max(worst[weighting], abs(theirs - lufs))
        uncut = max(uncut, abs(pyloudnorm.Meter(rate).integrated_loudness(samples) - lufs))
        held += 1
    print(f"loudness: {held} files; pyloudnorm differs by at most {worst} LU, by {uncut:.3f} where it counts a block cut short")


def check_nemo(exports):
    entries = [json.loads(line) for line in open(exports / "nemo.jsonl", encoding="utf-8")]
    for entry in entries:
        # What nemo/collections/common/parts/preprocessing/manifest.py demands of a line.
        assert os.path.isfile(entry["audio_filepath"]) and float(entry["duration"]) > 0 and isinstance(entry["text"], str)
    print(f"NeMo: {len(entries)} lines have what its reader demands")


def check_ljspeech(exports):
    count = 0
    for line in open(exports / "metadata_ljspeech.csv", encoding="utf-8"):
        # As Coqui's formatter reads it.
        columns = line.split("|")
        assert len(columns) == 3 and columns[2].strip()
        assert os.path.isfile(os.path.join("/anywhere", "wavs", columns[0] + ".wav"))
        count += 1
    print(f"LJSpeech: {count} lines lead to files")


def check_lhotse(exports):
    try:
        from lhotse import CutSet, RecordingSet, SupervisionSet
        from lhotse.qa import validate_recordings_and_supervisions
    except ImportError as error:
        print(f"lhotse: skipped, {error}")
        return
    recordings = RecordingSet.from_file(exports / "recordings.jsonl.gz").to_eager()
    supervisions = SupervisionSet.from_file(exports / "supervisions.jsonl.gz")
    # lhotse reads a manifest without lines as None.
    supervisions = SupervisionSet([]) if supervisions is None else supervisions.to_eager()
    if not len(supervisions):
        print(f"lhotse: {len(recordings)} recordings and no supervisions, which its validation does not take")
        return
    validate_recordings_and_supervisions(recordings, supervisions)
    cuts = CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
    first = next(iter(recordings))
    assert first.load_audio().shape == (first.num_channels, first.num_samples)
    print(f"lhotse: {len(recordings)} recordings and {len(supervisions)} supervisions are valid, {len(cuts)} cuts")


def check_lhotse_recipe(root, exports):
    """The manifests must say what lhotse's own recipe says about the same LibriTTS tree."""
    try:
        from lhotse import RecordingSet, SupervisionSet
        from lhotse.recipes.libritts import prepare_libritts
    except ImportError:
        return
    if not (root / "dev-clean").is_dir():
        return
    theirs = prepare_libritts(root, dataset_parts="dev-clean")["dev-clean"]
    ours = SupervisionSet.from_file(exports / "supervisions.jsonl.gz").to_eager()
    recordings = {recording.id: recording for recording in RecordingSet.from_file(exports / "recordings.jsonl.gz")}
    ours = {supervision.id: supervision for supervision in ours}
    for supervision in theirs["supervisions"]:
        mine = ours[supervision.id]
        for field in ("text", "speaker", "gender", "language", "channel", "custom"):
            assert getattr(mine, field) == getattr(supervision, field), (supervision.id, field)
        assert abs(mine.duration - supervision.duration) < 1e-6
    for recording in theirs["recordings"]:
        assert recordings[recording.id].num_samples == recording.num_samples
    print(f"lhotse: {len(theirs['supervisions'])} supervisions equal those of `lhotse prepare libritts`")


def check_huggingface(root, exports):
    try:
        import datasets
    except ImportError as error:
        print(f"Hugging Face: skipped, {error}")
        return
    with tempfile.TemporaryDirectory() as scratch:
        # metadata.csv belongs into the directory; here beside links, so that the data stays as it is.
        place = Path(scratch) / "data"
        place.mkdir()
        for entry in (entry for entry in root.iterdir() if not entry.is_symlink()):
            (place / entry.name).symlink_to(entry)
        (place / "metadata.csv").write_bytes((exports / "metadata.csv").read_bytes())
        lines = sum(1 for _ in open(exports / "metadata.csv", encoding="utf-8")) - 1
        data = datasets.load_dataset("audiofolder", data_dir=str(place), cache_dir=scratch, split="train")
        data = data.cast_column("audio", datasets.Audio(decode=False))
        assert len(data) == lines and "transcription" in data.column_names, (len(data), lines, data.column_names)
        assert all(os.path.exists(row["audio"]["path"]) for row in data)
        print(f"Hugging Face: {len(data)} rows with {data.column_names}")


def main():
    root, manifest = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    rows = [json.loads(line) for line in open(manifest, encoding="utf-8")]
    check_facts(root, rows)
    check_loudness(root, rows)
    if len(sys.argv) > 3:
        exports = Path(sys.argv[3])
        check_nemo(exports)
        check_ljspeech(exports)
        check_lhotse(exports)
        check_lhotse_recipe(root, exports)
        check_huggingface(root, exports)


if __name__ == "__main__":
    main()
