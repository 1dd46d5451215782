//! No two source files import each other in a circle, of whatever length.
//!
//! A file imports another where it names something that is defined there. What a file exports with `pub use` is followed to
//! where it is defined, so that a module's face is no part of a circle unless its own items are.

mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use paths::named;

/// A module's path in its crate; one file each.
type Module = Vec<String>;

/// The files of a crate.
struct Crate {
    /// What each exports: a name and the path that it stands for.
    exports: BTreeMap<Module, BTreeMap<String, Module>>,
    /// Paths from the crate's root that each names, as they are written.
    names: BTreeMap<Module, Vec<Module>>,
}

impl Crate {
    fn new(sources: BTreeMap<Module, String>) -> Self {
        let modules: BTreeSet<Module> = sources.keys().cloned().collect();
        let (mut exports, mut names) = (BTreeMap::new(), BTreeMap::new());
        for (module, source) in sources {
            let (mut exported, mut used) = (BTreeMap::new(), Vec::new());
            for path in named(&source) {
                let last = path.segments.last().expect("a path has a segment").clone();
                match from_root(&modules, &module, path.segments) {
                    Some(absolute) if path.exported => drop(exported.insert(last, absolute)),
                    Some(absolute) => used.push(absolute),
                    None => {}
                }
            }
            exports.insert(module.clone(), exported);
            names.insert(module, used);
        }
        Self { exports, names }
    }

    /// The module whose file defines what `path` names.
    fn definer(&self, path: &[String]) -> Module {
        let length = (0..=path.len()).rev().find(|&length| self.names.contains_key(&path[..length])).unwrap_or(0);
        let (module, rest) = path.split_at(length);
        match rest.first().and_then(|name| self.exports.get(module)?.get(name)) {
            Some(target) if target.as_slice() != path => self.definer(&[target, &rest[1..]].concat()),
            _ => module.to_vec(),
        }
    }

    /// The imports that are part of a circle or lead to one, or from one: `a -> b, by path`.
    fn circles(&self) -> Vec<String> {
        let mut arrows: BTreeMap<Module, BTreeMap<Module, String>> = BTreeMap::new();
        for (module, names) in &self.names {
            let to = arrows.entry(module.clone()).or_default();
            for path in names {
                let definer = self.definer(path);
                if definer != *module {
                    to.entry(definer).or_insert_with(|| path.join("::"));
                }
            }
        }
        // A file that imports none, or that none imports, is in no circle; without it the same holds for others.
        loop {
            let imported: BTreeSet<Module> = arrows.values().flat_map(|to| to.keys().cloned()).collect();
            let before = arrows.len();
            arrows.retain(|module, to| !to.is_empty() && imported.contains(module));
            let left: BTreeSet<Module> = arrows.keys().cloned().collect();
            arrows.values_mut().for_each(|to| to.retain(|module, _| left.contains(module)));
            if arrows.len() == before {
                break;
            }
        }
        let name = |module: &Module| if module.is_empty() { "the crate's root".into() } else { module.join("::") };
        let line = |from, to, path: &String| format!("{} imports {}, by {path}", name(from), name(to));
        arrows.iter().flat_map(|(from, to)| to.iter().map(move |(to, path)| line(from, to, path))).collect()
    }
}

/// A path that `module` names, from the crate's root on; none if it leads to another crate.
fn from_root(modules: &BTreeSet<Module>, module: &Module, path: Vec<String>) -> Option<Module> {
    let up = path.iter().take_while(|segment| *segment == "super").count();
    match path[0].as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => Some([&module[..module.len().checked_sub(up)?], &path[up..]].concat()),
        first => {
            let child = [module.as_slice(), &[first.into()]].concat();
            modules.contains(&child).then(|| [module.as_slice(), &path].concat())
        }
    }
}

/// The source files under `folder`, by module.
fn sources(folder: &Path, module: &Module, found: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of the folder").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_string();
        let child = [module.as_slice(), std::slice::from_ref(&stem)].concat();
        if path.is_dir() {
            sources(&path, &child, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let module = if ["lib", "main", "mod"].contains(&stem.as_str()) { module.clone() } else { child };
            // The root of a library and that of its program are one.
            found.entry(module).or_default().push_str(&fs::read_to_string(&path).expect("a source file"));
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for name in ["densenet-kernels", "densenet", "densenet-cli", "densenet-python"] {
        let mut found = BTreeMap::new();
        sources(&crates.join(name).join("src"), &Vec::new(), &mut found);
        assert!(found.len() > 5, "{name}: {} files", found.len());
        let circles = Crate::new(found).circles();
        assert!(circles.is_empty(), "circles in {name}:\n{}", circles.join("\n"));
    }
}

/// The circles of a crate of these modules.
fn circles_of<const N: usize>(modules: [(&str, &str); N]) -> Vec<String> {
    let module = |path: &str| path.split("::").filter(|part| !part.is_empty()).map(String::from).collect::<Module>();
    Crate::new(modules.into_iter().map(|(path, source)| (module(path), source.to_string())).collect()).circles()
}

#[test]
fn circles_are_found_through_imports_paths_exports_and_macros() {
    let root = ("", "mod a; mod b; mod c;");
    assert_eq!(circles_of([root, ("a", "use crate::b::B;"), ("b", "use super::c::C;"), ("c", "struct C;")]), [""; 0]);
    let by_path = circles_of([root, ("a", "use crate::b::B;"), ("b", "fn f() { crate::a::g() }")]);
    assert_eq!(by_path, ["a imports b, by b::B", "b imports a, by a::g"]);
    let of_three =
        circles_of([root, ("a", "use super::b;"), ("b", "use crate::{c::C, c::D};"), ("c", "use crate::a::A;")]);
    assert_eq!(of_three.len(), 3, "{of_three:?}");
    let by_macro = circles_of([root, ("a", "m! { fn f() { crate::b::g() } }"), ("b", "use crate::a::f;")]);
    assert_eq!(by_macro.len(), 2, "{by_macro:?}");
    let face = ("a", "mod x; mod y; pub use x::X; pub use y::Y;");
    let through_face = circles_of([face, ("a::x", "use super::Y;"), ("a::y", "use super::X;")]);
    assert_eq!(through_face, ["a::x imports a::y, by a::Y", "a::y imports a::x, by a::X"]);
    let own_item = circles_of([("a", "mod x; use x::X; struct Y;"), ("a::x", "use super::Y;")]);
    assert_eq!(own_item.len(), 2, "{own_item:?}");
    let only_in_tests = [("a", "use crate::b::B;"), ("b", "#[cfg(test)] mod tests { use crate::a::A; }")];
    assert_eq!(circles_of(only_in_tests), [""; 0]);
}
