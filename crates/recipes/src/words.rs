use minijinja::{Environment, ErrorKind, Value};

use crate::nearest;

/// Filters that are of use, for hints.
const FILTERS: [&str; 28] = [
    "abs",
    "answer",
    "batch",
    "bool",
    "default",
    "first",
    "float",
    "groupby",
    "int",
    "items",
    "join",
    "last",
    "length",
    "link",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "parse_json",
    "reject",
    "replace",
    "round",
    "select",
    "sort",
    "tojson",
    "trim",
    "upper",
];

/// Looks whether an expression uses only filters and tests that there are. minijinja itself would say so only when it comes to
/// them, which for a recipe is too late.
///
/// # Errors
/// What there is not.
pub(crate) fn check(environment: &Environment<'_>, source: &str) -> Result<(), String> {
    let tokens = tokens(source);
    let mut state = environment.empty_state();
    for (at, token) in tokens.iter().enumerate() {
        let next = |by: usize| tokens.get(at + by).map(String::as_str).unwrap_or_default();
        match token.as_str() {
            "|" => {
                let unknown =
                    state.apply_filter(next(1), &[]).is_err_and(|error| error.kind() == ErrorKind::UnknownFilter);
                if unknown {
                    let near = nearest(next(1), FILTERS).map(|near| format!("; did you mean `{near}`?"));
                    return Err(format!("there is no filter `{}`{}", next(1), near.unwrap_or_default()));
                }
            }
            "is" => {
                let name = if next(1) == "not" { next(2) } else { next(1) };
                let nothing = [Value::from(())];
                if state.perform_test(name, &nothing).is_err_and(|error| error.kind() == ErrorKind::UnknownTest) {
                    return Err(format!("there is no test `is {name}`"));
                }
            }
            "." if next(2) == "(" => {
                return Err(format!("values have no methods such as `{}()`; use a filter, after `|`", next(1)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether an expression uses this filter.
pub(crate) fn uses(source: &str, filter: &str) -> bool {
    tokens(source).windows(2).any(|pair| pair[0] == "|" && pair[1] == filter)
}

/// Names and signs, without what is quoted.
fn tokens(source: &str) -> Vec<String> {
    let (mut tokens, mut name, mut quote, mut escaped) = (Vec::new(), String::new(), None, false);
    for letter in source.chars() {
        if let Some(open) = quote {
            quote = Some(open).filter(|open| escaped || letter != *open);
            escaped = letter == '\\' && !escaped;
            continue;
        }
        if letter.is_alphanumeric() || letter == '_' {
            name.push(letter);
            continue;
        }
        if !name.is_empty() {
            tokens.push(std::mem::take(&mut name));
        }
        match letter {
            '"' | '\'' => quote = Some(letter),
            letter if letter.is_whitespace() => {}
            sign => tokens.push(sign.to_string()),
        }
    }
    tokens.extend(Some(name).filter(|name| !name.is_empty()));
    tokens
}

/// An expression without its slices, such as `[:10]`.
pub(crate) fn without_slices(source: &str) -> String {
    let (mut rest, mut open, mut quote, mut escaped) = (String::new(), Vec::new(), None, false);
    for letter in source.chars() {
        rest.push(letter);
        if let Some(quoted) = quote {
            quote = Some(quoted).filter(|quoted| escaped || letter != *quoted);
            escaped = letter == '\\' && !escaped;
            continue;
        }
        match letter {
            '"' | '\'' => quote = Some(letter),
            '[' | '{' | '(' => open.push((letter, rest.len() - 1, false)),
            ':' => open.iter_mut().last().into_iter().for_each(|(of, _, is_slice)| *is_slice = *of == '['),
            ']' | '}' | ')' => {
                if let Some((_, start, true)) = open.pop() {
                    rest.truncate(start);
                }
            }
            _ => {}
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_taken_off_and_nothing_else() {
        let same = ["a.b['x:y'] ~ {'a': [1]}.a", "{'a': b}[c]"];
        same.into_iter().for_each(|source| assert_eq!(without_slices(source), source));
        assert_eq!(without_slices("(a ~ b)[1:c[0]] | join(d[:4][::2])"), "(a ~ b) | join(d)");
    }
}
