use raincheck_recipes::{Field, FieldType, Recipe};
use serde_json::Value;
use sha2::{Digest, Sha256};

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

/// What tells one input from another: a file that was sent again has another id, and is the same by its content.
pub(super) fn fingerprint(recipe: &Recipe, input: &Value) -> Vec<u8> {
    let mut input = input.clone();
    for field in files(recipe) {
        if let Some(file) = input.get_mut(&field.name).and_then(Value::as_object_mut) {
            file.remove("id");
        }
    }
    Sha256::digest(format!("{}\0{input}", recipe.name)).to_vec()
}
