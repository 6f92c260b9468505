use std::io::Read;

use serde_json::value::RawValue;

use crate::exit::{Exit, Failure};

/// A job's input: the text itself, the file after `@`, or standard input for `-`. Kept as it is, so that numbers keep
/// their digits.
///
/// # Errors
/// If it cannot be read, or is not JSON.
pub(crate) fn read(argument: &str) -> Result<Box<RawValue>, Failure> {
    let (what, text) = match argument.strip_prefix('@') {
        Some(path) => (path.to_owned(), std::fs::read_to_string(path)),
        None if argument == "-" => ("standard input".to_owned(), standard_input()),
        None => ("--input".to_owned(), Ok(argument.to_owned())),
    };
    let text = text.map_err(|error| Failure::new(Exit::Usage, format!("{what} cannot be read: {error}")))?;
    let not_json = |error: serde_json::Error| {
        Failure::new(Exit::Usage, format!("{what} is not JSON: {error}"))
            .hint("quote it for the shell, as in --input '{\"path\": \"/data\"}', or put it into a file: --input @FILE")
    };
    let value: Box<RawValue> = serde_json::from_str(text.trim()).map_err(not_json)?;
    Ok(value)
}

fn standard_input() -> std::io::Result<String> {
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        assert_eq!(read(" [1.10] ").unwrap().get(), "[1.10]");
    }

    #[test]
    fn what_is_not_json_is_a_mistake_of_usage() {
        let failure = read("{path: 1}").unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        insta::assert_snapshot!(failure.message, @"--input is not JSON: key must be a string at line 1 column 2");
        assert!(read("@/nowhere/at/all").unwrap_err().message.starts_with("/nowhere/at/all cannot be read"));
    }
}
