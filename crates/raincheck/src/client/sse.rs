/// An event of a stream, as the WHATWG's specification of server-sent events has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// What to say in `Last-Event-ID` to go on behind this event.
    pub(crate) id: Option<String>,
    /// The lines of data, joined.
    pub(crate) data: String,
}

/// Longer lines are no events of ours.
const LINE_LENGTH_MAX: usize = 64 << 20;

/// Takes a stream of server-sent events apart, in whatever pieces it comes.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// The bytes of the line that has not ended yet.
    line: Vec<u8>,
    frame: Frame,
    has_data: bool,
    after_carriage_return: bool,
}

impl Parser {
    /// The events that end in these bytes.
    ///
    /// # Errors
    /// If a line is too long to be one of ours.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, &'static str> {
        let mut frames = Vec::new();
        for byte in bytes {
            let second_half = std::mem::replace(&mut self.after_carriage_return, *byte == b'\r') && *byte == b'\n';
            match byte {
                _ if second_half => {}
                b'\r' | b'\n' => frames.extend(self.end_line()),
                _ if self.line.len() == LINE_LENGTH_MAX => return Err("a line of the stream of events is too long"),
                other => self.line.push(*other),
            }
        }
        Ok(frames)
    }

    fn end_line(&mut self) -> Option<Frame> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            let frame = std::mem::take(&mut self.frame);
            return std::mem::take(&mut self.has_data).then_some(frame);
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.frame.id = Some(value.to_owned()),
            "data" => {
                if self.has_data {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
                self.has_data = true;
            }
            // Comments keep the connection alive; the event's type stands in its data too.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        ": hello\r\n\r\nid: 1\nevent: accepted\ndata: {\"a\":\ndata: 1}\n\n:\n\nid:2\rdata:x\r\rid: 3\ndata: half";

    fn frame(id: &str, data: &str) -> Frame {
        Frame { id: Some(id.into()), data: data.into() }
    }

    #[test]
    fn events_come_out_however_the_bytes_come_in() {
        let expected = vec![frame("1", "{\"a\":\n1}"), frame("2", "x")];
        for size in 1..STREAM.len() {
            let mut parser = Parser::default();
            let pieces = STREAM.as_bytes().chunks(size);
            let frames: Vec<Frame> = pieces.flat_map(|piece| parser.feed(piece).unwrap()).collect();
            assert_eq!(frames, expected, "in pieces of {size}");
        }
    }
}
