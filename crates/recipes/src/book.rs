use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::{Asset, Method, Mistake, PageKind, Recipe, nearest};

/// The most recipes of a book.
const RECIPES_MAX: usize = 1_000;
/// How many versions that are no longer current are kept for the jobs that began with them.
const OLD_MAX: usize = 1_000;

/// The recipes that are in force, and those versions of them that jobs began with. Cheap to clone; all clones are the same
/// book.
#[derive(Clone, Debug, Default)]
pub struct Book(Arc<RwLock<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    by_name: BTreeMap<String, Arc<Recipe>>,
    /// By version; the current ones as well.
    versions: BTreeMap<String, Arc<Recipe>>,
    /// By folder and name.
    pages: BTreeMap<String, BTreeMap<String, Asset>>,
}

/// What there is at a path.
#[derive(Clone, Debug)]
pub enum Found {
    /// A recipe, or one of its pages, and the values of the path.
    Recipe(Arc<Recipe>, Option<PageKind>, BTreeMap<String, String>),
    /// Something that takes other methods.
    OtherMethods(Vec<Method>),
    /// Nothing.
    Nothing,
}

impl Book {
    /// Puts these recipes into force instead of those that are, all or none.
    ///
    /// # Errors
    /// What is wrong with them beside each other: two of one name, or two that could be meant by one request.
    pub fn replace(&self, recipes: Vec<Recipe>) -> Result<(), Vec<Mistake>> {
        let mistakes = conflicts(&recipes);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let recipes: Vec<Arc<Recipe>> = recipes.into_iter().map(Arc::new).collect();
        let mut contents = self.0.write().unwrap_or_else(PoisonError::into_inner);
        contents.versions.extend(recipes.iter().map(|recipe| (recipe.version.clone(), Arc::clone(recipe))));
        contents.by_name = recipes.into_iter().map(|recipe| (recipe.name.clone(), recipe)).collect();
        Ok(())
    }

    /// Keeps a version that is not in force for the jobs that began with it; whether there was room.
    pub fn remember(&self, recipe: Recipe) -> bool {
        let mut contents = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let room = contents.versions.len() < OLD_MAX + contents.by_name.len();
        if room {
            contents.versions.entry(recipe.version.clone()).or_insert_with(|| Arc::new(recipe));
        }
        room
    }

    /// Shows these pages, by folder and name, instead of those that are shown.
    pub fn show(&self, pages: BTreeMap<String, BTreeMap<String, Asset>>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).pages = pages;
    }

    /// A file of a page.
    #[must_use]
    pub fn asset(&self, folder: &str, name: &str) -> Option<Asset> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).pages.get(folder)?.get(name).cloned()
    }

    /// The folders whose pages are shown, in order of name.
    #[must_use]
    pub fn pages(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).pages.keys().cloned().collect()
    }

    /// The recipe of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Arc<Recipe>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_name.get(name).cloned()
    }

    /// The recipe of this version, whether or not it is in force.
    #[must_use]
    pub fn version(&self, version: &str) -> Option<Arc<Recipe>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).versions.get(version).cloned()
    }

    /// The recipes in force, in order of name.
    #[must_use]
    pub fn recipes(&self) -> Vec<Arc<Recipe>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_name.values().cloned().collect()
    }

    /// What there is at a path, given as its decoded parts.
    #[must_use]
    pub fn find(&self, method: &str, parts: &[String]) -> Found {
        let contents = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut others = Vec::new();
        for recipe in contents.by_name.values() {
            for (of_route, path, page) in recipe.routes() {
                let Some(values) = path.values(parts) else { continue };
                if of_route.as_str() == method {
                    return Found::Recipe(Arc::clone(recipe), page, values);
                }
                others.push(of_route);
            }
        }
        if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others) }
    }
}

/// What is wrong with recipes beside each other.
fn conflicts(recipes: &[Recipe]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    if let Some(beyond) = recipes.get(RECIPES_MAX) {
        let message = format!("there are {} recipes; {RECIPES_MAX} may be", recipes.len());
        mistakes.push(beyond.complain_of(&beyond.name, message, None));
        return mistakes;
    }
    let mut routes: Vec<(&Recipe, Method, &crate::Path)> = Vec::new();
    let mut names = BTreeMap::new();
    for recipe in recipes {
        if let Some(other) = names.insert(&recipe.name, &recipe.path) {
            let message = format!("there is a recipe of this name already, in {}", other.display());
            mistakes.push(recipe.complain_of(&recipe.name, message, None));
        }
        for follow_up in &recipe.follow_ups {
            let known = || recipes.iter().map(|recipe| recipe.name.as_str());
            if !known().any(|name| name == follow_up.recipe) {
                let near = nearest(&follow_up.recipe, known()).map(|near| format!("did you mean \"{near}\"?"));
                mistakes.push(recipe.complain_at(
                    follow_up.span.clone(),
                    format!("there is no recipe {:?}", follow_up.recipe),
                    near,
                ));
            }
        }
        for (method, path, _) in recipe.routes() {
            let taken = routes.iter().find(|(_, other, at)| *other == method && at.overlaps(path));
            if let Some((other, _, at)) = taken {
                let hint = format!("{} {at} of recipe {} in {}", method.as_str(), other.name, other.path.display());
                let message = "another route could be meant by the same request".to_owned();
                mistakes.push(recipe.complain_of(&path.to_string(), message, Some(hint)));
            }
            routes.push((recipe, method, path));
        }
    }
    mistakes
}
