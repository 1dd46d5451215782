//! Classes by their names.

use anyhow::Result;

use crate::output::Misuse;

/// Known names that are listed.
const NEAREST: usize = 5;

/// The number of the class that is called `name`.
///
/// # Errors
/// No such class, with the most similar names, or several.
pub fn class_named(name: &str, labels: &[String]) -> Result<usize> {
    let mut found = (0..labels.len()).filter(|&class| labels[class] == name);
    match (found.next(), found.next()) {
        (Some(class), None) => Ok(class),
        (None, _) => Err(Misuse(format!("no class is called {name}; {}", nearest(name, labels))).into()),
        (Some(first), Some(second)) => {
            Err(Misuse(format!("two classes are called {name}: {first} and {second}; --labels renames them")).into())
        }
    }
}

/// The names that are most like `name`, or all where they are few.
fn nearest(name: &str, labels: &[String]) -> String {
    let likeness = |label: &String| strsim::jaro_winkler(&name.to_lowercase(), &label.to_lowercase());
    let mut order: Vec<&String> = labels.iter().collect();
    order.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
    order.truncate(NEAREST);
    let names = order.iter().map(|label| label.as_str()).collect::<Vec<_>>().join(", ");
    if labels.len() > NEAREST {
        format!("the most similar of {} are {names}", labels.len())
    } else {
        format!("there are {names}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_that_there_are_not_are_told_the_nearest() {
        let labels = labels(&["airplane", "automobile", "bird", "cat", "deer", "Dog", "ship"]);
        assert_eq!(class_named("cat", &labels).unwrap(), 3);
        let error = |name| class_named(name, &labels).unwrap_err().to_string();
        assert!(
            error("dog").starts_with("no class is called dog; the most similar of 7 are Dog, "),
            "{}",
            error("dog")
        );
        assert!(error("aeroplane").contains("are airplane, "), "{}", error("aeroplane"));
    }

    #[test]
    fn a_name_of_two_classes_is_none() {
        let labels = labels(&["crane", "crane", "tap"]);
        assert!(
            class_named("crane", &labels).unwrap_err().to_string().contains("two classes are called crane: 0 and 1")
        );
        assert!(class_named("pump", &labels).unwrap_err().to_string().contains("there are tap, "));
    }
}
