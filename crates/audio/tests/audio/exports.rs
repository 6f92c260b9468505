//! What other tools are given. `tests/peers.py` checks it with those tools themselves.

use crate::Place;
use raincheck_audio::fixtures::{Plan, bad_files, library};
use raincheck_audio::{Export, Exports, Options, Status, Tier};
use std::io::Read;
use std::path::Path;

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).expect("an export").lines().map(str::to_owned).collect()
}

fn unzipped(path: &Path) -> Vec<serde_json::Value> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).expect("open")).read_to_string(&mut text).expect("gzip");
    text.lines().map(|line| serde_json::from_str(line).expect("json")).collect()
}

#[test]
fn usable_files_are_exported_in_every_format() {
    let place = Place::new();
    library(&place.root(), &Plan { shortest_ms: 300, longest_ms: 500, ..Plan::new(6) }).expect("fixtures");
    std::fs::create_dir(place.root().join("zz-bad")).expect("create");
    bad_files(&place.root().join("zz-bad")).expect("fixtures");
    let out = place.directory.path().join("exports");
    std::fs::create_dir(&out).expect("create");
    let formats = vec![Export::NeMo, Export::Lhotse, Export::HfAudiofolder, Export::LjSpeech];
    let options =
        Options { exports: Some(Exports { formats, directory: out.clone() }), ..place.options(Tier::Standard) };
    let (summary, rows) = place.scan_with(&options);

    let usable = rows
        .iter()
        .filter(|row| {
            row.is_usable()
                && !row.path_escaped
                && row.facts.as_ref().is_some_and(|facts| facts.actual_frames.is_some())
        })
        .count();
    let first = rows.iter().find(|row| row.status == Status::Ok).expect("a good file");
    let path = place.root().canonicalize().expect("canonical").join(&first.path);
    let text = first.transcript.as_ref().expect("a transcript");

    let nemo: Vec<serde_json::Value> =
        lines(&out.join("nemo.jsonl")).iter().map(|line| serde_json::from_str(line).expect("json")).collect();
    assert_eq!(nemo.len(), usable);
    assert_eq!(nemo[0]["audio_filepath"], path.to_str().expect("utf-8"));
    assert_eq!((&nemo[0]["text"], &nemo[0]["speaker"]), (&text.text().into(), &1000.into()));

    let (recordings, supervisions) =
        (unzipped(&out.join("recordings.jsonl.gz")), unzipped(&out.join("supervisions.jsonl.gz")));
    assert_eq!((recordings.len(), supervisions.len()), (usable, 6));
    assert_eq!(recordings[0]["id"], supervisions[0]["recording_id"]);
    assert_eq!(recordings[0]["num_samples"], first.facts.as_ref().expect("facts").actual_frames.expect("frames"));
    assert_eq!(supervisions[0]["gender"], "F");

    let hf = lines(&out.join("metadata.csv"));
    assert_eq!((hf.len(), hf[0].as_str()), (usable + 1, "file_name,transcription,speaker_id,duration"));
    assert!(hf[1].starts_with(&first.path));

    let lj = lines(&out.join("metadata_ljspeech.csv"));
    assert_eq!(lj.len(), 6);
    let fields: Vec<&str> = lj[0].split('|').collect();
    assert_eq!(
        fields,
        [path.with_extension("").to_str().expect("utf-8"), text.original.as_deref().expect("original"), text.text()]
    );

    let written: Vec<u64> = summary.exports.iter().map(|exported| exported.rows).collect();
    assert_eq!(written, [usable as u64, usable as u64, usable as u64, 6]);
    assert_eq!(std::fs::read_dir(&out).expect("list").count(), 5, "no left-overs");
}
