use super::{Cell, cut_to, width_of};

/// What is cut keeps so many characters.
const CUT_MIN: usize = 16;
/// Between two columns.
pub(super) const GAP: usize = 2;

/// Makes a table fit into lines of `width` characters: leaves out columns of `spare`, the first ones first, and cuts what
/// is left of them. Gives the names of those that are left out. Columns not in `spare` stay as they are, however wide.
pub(crate) fn fit<'n>(
    names: &mut Vec<&'n str>,
    rows: &mut [Vec<Cell>],
    width: usize,
    spare: &[&'n str],
) -> Vec<&'n str> {
    let mut left_out = Vec::new();
    for name in spare {
        let least = |column: usize| {
            let natural = width_of(names, rows, column);
            if spare.contains(&names[column]) { natural.min(CUT_MIN) } else { natural }
        };
        let least: usize = (0..names.len()).map(|column| least(column) + GAP).sum();
        if least <= width + GAP {
            break;
        }
        if let Some(column) = names.iter().position(|other| other == name) {
            left_out.push(names.remove(column));
            rows.iter_mut().for_each(|row| drop(row.remove(column)));
        }
    }
    cut(names, rows, width, spare);
    left_out
}

/// Cuts the widest columns of `spare`, until the lines fit or there is nothing more to cut.
fn cut(names: &[&str], rows: &mut [Vec<Cell>], width: usize, spare: &[&str]) {
    loop {
        let widths: Vec<usize> = (0..names.len()).map(|column| width_of(names, rows, column)).collect();
        let too_wide = (widths.iter().sum::<usize>() + GAP * names.len()).saturating_sub(width + GAP);
        let can_be_cut = |column: &usize| spare.contains(&names[*column]) && widths[*column] > CUT_MIN;
        let widest = (0..names.len()).filter(can_be_cut).max_by_key(|column| widths[*column]);
        let Some(widest) = widest.filter(|_| too_wide > 0) else { return };
        let keep = widths[widest].saturating_sub(too_wide).max(CUT_MIN);
        rows.iter_mut().for_each(|row| row[widest].text = cut_to(&row[widest].text, keep));
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns;
    use super::*;
    use crate::console::Paint;

    const NAMES: [&str; 4] = ["ID", "PRIO", "PROGRESS", "LABELS"];

    fn fitted(width: usize) -> (String, Vec<&'static str>) {
        let cells = ["job_1", "P5", "45 %  Processing file 450/1000", "team=voice colour=blue"];
        let mut rows: Vec<Vec<Cell>> = vec![cells.into_iter().map(Cell::from).collect()];
        let mut names = NAMES.to_vec();
        let left_out = fit(&mut names, &mut rows, width, &["PRIO", "LABELS", "PROGRESS"]);
        (columns(&names, rows, Paint(false)), left_out)
    }

    #[test]
    fn a_table_that_fits_stays_as_it_is() {
        let (table, left_out) = fitted(67);
        assert!(table.lines().all(|line| line.chars().count() <= 67) && !table.contains('…'), "{table}");
        assert_eq!(left_out, [""; 0]);
    }

    #[test]
    fn what_is_wide_is_cut_before_anything_is_left_out() {
        let (table, left_out) = fitted(60);
        assert_eq!(table.lines().map(|line| line.chars().count()).max(), Some(60), "{table}");
        assert_eq!(left_out, [""; 0]);
    }

    #[test]
    fn what_matters_least_is_left_out_first_and_what_matters_most_never() {
        let (table, left_out) = fitted(30);
        insta::assert_snapshot!(table, @r"
        ID     PROGRESS
        job_1  45 %  Processing file …
        ");
        assert_eq!(left_out, ["PRIO", "LABELS"]);
        assert_eq!(fitted(3).0.lines().last(), Some("job_1"));
    }
}
