use std::time::Duration;

use raincheck_core::Time;

/// A length of time as people say it: `0.3 s`, `12 s`, `5 min`, `3 h`, `2 d`.
pub(crate) fn length(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let nearest = |unit: u64| (seconds + unit / 2) / unit;
    match seconds {
        0 if duration < Duration::from_millis(1) => "0 s".into(),
        0 if duration < Duration::from_millis(100) => format!("{} ms", duration.as_millis()),
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", nearest(60)),
        7_200..172_800 => format!("{} h", nearest(3_600)),
        _ => format!("{} d", nearest(86_400)),
    }
}

/// How far a moment is from now: `3 s ago`, `in 5 min`.
pub(crate) fn relative(time: Time, now: Time) -> String {
    let (ahead, behind) = (time.since(now), now.since(time));
    if ahead < Duration::from_secs(1) && behind < Duration::from_secs(1) {
        return "now".into();
    }
    let whole = |duration: Duration| length(Duration::from_secs(duration.as_secs())).replace(".0 s", " s");
    if ahead > behind { format!("in {}", whole(ahead)) } else { format!("{} ago", whole(behind)) }
}

/// A moment to the second: `2026-11-22 09:30:00Z`.
pub(crate) fn short(time: Time) -> String {
    let text = time.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{}Z", seconds.replace('T', " ")),
        None => text,
    }
}

/// A moment, and how far it is from now.
pub(crate) fn moment(time: Time, now: Time) -> String {
    format!("{}  ({})", short(time), relative(time, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_said_in_one_unit() {
        let said: Vec<String> = [0, 7, 300, 5_049, 12_900, 300_000, 10_000_000, 900_000_000]
            .map(|ms| length(Duration::from_millis(ms)))
            .into();
        assert_eq!(said, ["0 s", "7 ms", "0.3 s", "5.0 s", "12 s", "5 min", "3 h", "10 d"]);
    }

    #[test]
    fn moments_are_said_from_here() {
        let now = Time::from_millis(1_795_339_800_250);
        assert_eq!(moment(now, now), "2026-11-22 09:30:00Z  (now)");
        assert_eq!(relative(now.after(Duration::from_millis(3_900)), now), "in 3 s");
        assert_eq!(relative(now, now.after(Duration::from_secs(300))), "5 min ago");
    }
}
