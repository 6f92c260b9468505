mod fit;

use crate::console::{Paint, harmless};
use fit::GAP;
pub(crate) use fit::fit;

/// Longer cells are cut, so that a line stays a line.
const CELL_MAX: usize = 80;

/// A cell of a table: its text, and how it is coloured.
pub(crate) struct Cell {
    text: String,
    paint: fn(Paint, &str) -> String,
}

impl Cell {
    /// A cell that is coloured by `paint`.
    pub(crate) fn painted(text: impl Into<String>, paint: fn(Paint, &str) -> String) -> Self {
        Self { text: cut(&harmless(&text.into())), paint }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::painted(text, |_, text| text.to_owned())
    }
}

fn cut(text: &str) -> String {
    cut_to(text, CELL_MAX)
}

fn cut_to(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}

/// How wide a column is: as its name or its widest cell.
fn width_of(names: &[&str], rows: &[Vec<Cell>], column: usize) -> usize {
    let cells = rows.iter().map(|row| row[column].text.chars().count());
    cells.chain([names[column].chars().count()]).max().unwrap_or(0)
}

/// A table with a line of names above its columns.
pub(crate) fn columns(names: &[&str], rows: Vec<Vec<Cell>>, paint: Paint) -> String {
    let widths: Vec<usize> = (0..names.len()).map(|column| width_of(names, &rows, column)).collect();
    let head = names.iter().map(|name| Cell::painted(*name, Paint::dim)).collect();
    let all: Vec<Vec<Cell>> = std::iter::once(head).chain(rows).collect();
    let line = |row: &Vec<Cell>| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&(cell.paint)(paint, &cell.text));
            line.push_str(&" ".repeat(width + GAP - cell.text.chars().count()));
        }
        line.trim_end().to_owned()
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Names and values below one another, indented. Values may bring their own colours.
pub(crate) fn pairs<N: AsRef<str>>(rows: &[(N, String)], paint: Paint) -> String {
    let width = rows.iter().map(|(name, _)| name.as_ref().chars().count()).max().unwrap_or(0);
    let line = |(name, value): &(N, String)| {
        let gap = " ".repeat(width - name.as_ref().chars().count());
        format!("  {}{gap}  {value}", paint.dim(name.as_ref()))
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["a".into(), "long cell".into()], vec!["äöü".into(), "\x1b".into()]];
        insta::assert_snapshot!(columns(&["X", "Y"], rows, Paint(false)), @r"
        X    Y
        a    long cell
        äöü  �
        ");
    }

    #[test]
    fn long_cells_are_cut() {
        assert_eq!(cut(&"x".repeat(81)).chars().count(), 80);
    }
}
