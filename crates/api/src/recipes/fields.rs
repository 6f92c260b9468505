use raincheck_recipes::{Field, FieldType, Recipe};

/// The field of this name, if it is a file.
pub(super) fn file<'r>(recipe: &'r Recipe, name: &str) -> Option<&'r Field> {
    files(recipe).find(|field| field.name == name)
}

/// The one field that is a file, if there is one and no other.
pub(super) fn only_file(recipe: &Recipe) -> Option<&Field> {
    let mut files = files(recipe);
    files.next().filter(|_| files.next().is_none())
}

fn files(recipe: &Recipe) -> impl Iterator<Item = &Field> {
    recipe.input.iter().filter(|field| matches!(field.holds, FieldType::File(_)))
}
