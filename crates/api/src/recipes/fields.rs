use raincheck_recipes::{Field, FieldType, Recipe, Source};

/// The field of this name, if it is a file.
pub(super) fn file<'r>(recipe: &'r Recipe, name: &str) -> Option<&'r Field> {
    files(recipe).find(|field| field.name == name)
}

/// The field that a body is which is a file and nothing else: the one file, if all that must come with it has its place elsewhere.
pub(super) fn whole_body(recipe: &Recipe) -> Option<&Field> {
    let mut files = files(recipe);
    let file = files.next().filter(|_| files.next().is_none())?;
    let must_come = |field: &&Field| field.source == Source::Body && field.default.is_none();
    recipe.input.iter().filter(must_come).all(|field| field.name == file.name).then_some(file)
}

/// Whether a file may come.
pub(super) fn has_file(recipe: &Recipe) -> bool {
    files(recipe).next().is_some()
}

fn files(recipe: &Recipe) -> impl Iterator<Item = &Field> {
    recipe.input.iter().filter(|field| matches!(field.holds, FieldType::File(_)))
}
