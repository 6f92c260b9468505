use std::borrow::Cow;

/// Longer lines, and longer events, are no answer of a provider.
const LENGTH_MAX: usize = 64 << 20;

/// An event of a stream, as the WHATWG's specification of server-sent events has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its type, if it has one.
    pub event: Option<String>,
    /// What to say in `Last-Event-ID` to go on behind this event.
    pub id: Option<String>,
    /// The lines of data, joined.
    pub data: String,
}

/// A stream that is too large to be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream has more than {LENGTH_MAX} bytes")]
pub struct FramesError;

/// Takes a stream of server-sent events apart, in whatever pieces it comes.
#[derive(Debug, Default)]
pub struct Frames {
    /// The bytes of the line that has not ended yet.
    line: Vec<u8>,
    frame: Frame,
    has_data: bool,
    after_carriage_return: bool,
    begun: bool,
}

impl Frames {
    /// The events that end in these bytes.
    ///
    /// # Errors
    /// If one is too long.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<Frame>, FramesError> {
        let mut frames = Vec::new();
        while let [first, rest @ ..] = bytes {
            if std::mem::take(&mut self.after_carriage_return) && *first == b'\n' {
                bytes = rest;
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.line.len() + line.len() > LENGTH_MAX {
                return Err(FramesError);
            }
            let Some((newline, rest)) = rest.split_first() else {
                self.line.extend_from_slice(line);
                break;
            };
            (self.after_carriage_return, bytes) = (*newline == b'\r', rest);
            if self.line.is_empty() {
                frames.extend(self.end_line(line)?);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                frames.extend(self.end_line(&whole)?);
            }
        }
        Ok(frames)
    }

    /// Whether an event was begun and not ended.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.has_data || !self.line.is_empty()
    }

    fn end_line(&mut self, line: &[u8]) -> Result<Option<Frame>, FramesError> {
        let line = std::str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed);
        let line = if std::mem::replace(&mut self.begun, true) { &*line } else { line.trim_start_matches('\u{FEFF}') };
        if line.is_empty() {
            let frame = std::mem::take(&mut self.frame);
            return Ok(std::mem::take(&mut self.has_data).then_some(frame));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.frame.event = Some(value.to_owned()),
            "id" if !value.contains('\0') => self.frame.id = Some(value.to_owned()),
            "data" => {
                if self.frame.data.len() + value.len() > LENGTH_MAX {
                    return Err(FramesError);
                }
                if self.has_data {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
                self.has_data = true;
            }
            // Comments keep the connection alive.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = "\u{FEFF}: hello\r\n\r\nid: 1\nevent: delta\ndata: {\"a\":\ndata: 1}\n\n:\n\nid:2\rdata:x\r\rdata: [DONE]\n\nid: 3\ndata: half";

    fn expected() -> Vec<Frame> {
        let frame = |event: Option<&str>, id: Option<&str>, data: &str| Frame {
            event: event.map(str::to_owned),
            id: id.map(str::to_owned),
            data: data.into(),
        };
        vec![frame(Some("delta"), Some("1"), "{\"a\":\n1}"), frame(None, Some("2"), "x"), frame(None, None, "[DONE]")]
    }

    proptest! {
        #[test]
        fn events_come_out_however_the_bytes_come_in(cuts in proptest::collection::vec(0..STREAM.len(), 0..20)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for pair in cuts.windows(2) {
                found.extend(frames.feed(&STREAM.as_bytes()[pair[0]..pair[1]]).unwrap());
            }
            prop_assert_eq!(found, expected());
            prop_assert!(frames.is_cut_off());
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Frames::default().feed(&bytes).unwrap();
        }
    }
}
