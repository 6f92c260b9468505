//! Rows to a [`Summary`], one by one.

use crate::issue::Code;
use crate::libritts::{self, Level, Speakers as Table};
use crate::options::Tier;
use crate::row::{Facts, Row, Status};
use crate::signal::round;
use crate::summary::{DURATION_BOUNDS_S, DurationBin, Layout, MAX_SPEAKERS, Speaker, Summary};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Counts rows.
pub(crate) struct Tally {
    pub(crate) summary: Summary,
    seconds: f64,
    durations: Vec<u64>,
    speakers: HashMap<String, (u64, f64)>,
    levels: BTreeMap<Level, u64>,
    recognised: u64,
    misplaced: u64,
}

impl Tally {
    pub(crate) fn new(tier: Tier) -> Self {
        Self {
            summary: Summary { tier, ..Summary::default() },
            seconds: 0.0,
            durations: vec![0; DURATION_BOUNDS_S.len() + 1],
            speakers: HashMap::new(),
            levels: BTreeMap::new(),
            recognised: 0,
            misplaced: 0,
        }
    }

    pub(crate) fn add(&mut self, row: &Row, is_reused: bool) {
        let summary = &mut self.summary;
        summary.files += 1;
        summary.bytes += row.bytes;
        summary.reused += u64::from(is_reused);
        match row.status {
            Status::Ok => summary.ok += 1,
            Status::Warning => summary.warnings += 1,
            Status::Error => summary.errors += 1,
        }
        for issue in &row.issues {
            *summary.issues.entry(issue.code.as_str()).or_default() += 1;
        }
        if row.has(Code::TranscriptMissing) {
            summary.orphans.audio_without_text.add(row.path.clone());
        }
        if let Some(facts) = &row.facts {
            self.facts(facts);
        }
        self.utterance(row);
    }

    fn facts(&mut self, facts: &Facts) {
        self.summary.formats.add(format!("{}/{}", facts.container, facts.codec.as_str()));
        self.summary.sample_rates.add(facts.sample_rate);
        self.summary.channels.add(facts.channels);
        if let Some(duration) = facts.duration_s {
            self.seconds += duration;
            self.durations[DURATION_BOUNDS_S.partition_point(|bound| *bound <= duration)] += 1;
        }
    }

    fn utterance(&mut self, row: &Row) {
        let Some(utterance) = &row.utterance else { return };
        self.recognised += 1;
        match libritts::level(&row.path, utterance) {
            Some(level) => *self.levels.entry(level).or_default() += 1,
            None => self.misplaced += 1,
        }
        if !row.is_usable() {
            return;
        }
        if self.speakers.len() >= MAX_SPEAKERS && !self.speakers.contains_key(&utterance.speaker) {
            self.summary.speakers.files_of_unlisted += 1;
            return;
        }
        let seconds = row.facts.as_ref().and_then(|facts| facts.duration_s).unwrap_or(0.0);
        if let Some(totals) = self.speakers.get_mut(&utterance.speaker) {
            *totals = (totals.0 + 1, totals.1 + seconds);
        } else {
            self.speakers.insert(utterance.speaker.clone(), (1, seconds));
        }
    }

    pub(crate) fn finish(self, table: &Table, elapsed: Duration) -> Summary {
        let mut summary = self.summary;
        let level = self.levels.iter().max_by_key(|(_, files)| **files).map(|(level, _)| *level);
        summary.layout = level.map(|level| Layout { level, recognised: self.recognised, misplaced: self.misplaced });
        summary.hours = round(self.seconds / 3600.0, 6);
        summary.durations = DURATION_BOUNDS_S
            .iter()
            .map(|bound| Some(*bound))
            .chain([None])
            .zip(self.durations)
            .map(|(below_s, files)| DurationBin { below_s, files })
            .collect();
        summary.speakers.listed = speakers(self.speakers, table);
        summary.speakers.count = summary.speakers.listed.len() as u64;
        summary.seconds = round(elapsed.as_secs_f64(), 3);
        summary.files_per_second = round(summary.files as f64 / elapsed.as_secs_f64().max(1e-6), 1);
        summary
    }
}

fn speakers(totals: HashMap<String, (u64, f64)>, table: &Table) -> Vec<Speaker> {
    let mut listed: Vec<Speaker> = totals
        .into_iter()
        .map(|(id, (files, seconds))| {
            let known = table.get(&id).cloned().unwrap_or_default();
            Speaker {
                gender: known.gender,
                name: known.name,
                files,
                minutes: round(seconds / 60.0, 3),
                stated_minutes: known.minutes,
                id,
            }
        })
        .collect();
    // Numbers by value: 14 before 103.
    listed.sort_unstable_by(|a, b| (a.id.len(), &a.id).cmp(&(b.id.len(), &b.id)));
    listed
}
