//! The documentation's guide: its commands run, its code is the sources', and its links lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fashion::idx_header;
use crate::folder::{Folder, told};

/// The folder of all documentation.
fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// The guide's pages, `(path within the documentation, text)`, in the order in which they are read.
fn pages() -> Vec<(String, String)> {
    let summary = fs::read_to_string(docs().join("SUMMARY.md")).unwrap();
    let paths = links(&summary).into_iter().filter(|path| path.starts_with("guide/"));
    paths.map(|path| (path.clone(), fs::read_to_string(docs().join(path)).unwrap())).collect()
}

/// What a page's links and pictures point to, web addresses left out.
fn links(page: &str) -> Vec<String> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(String::from).collect()
}

/// The code blocks of that language, each with what stands on the page before it.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<(&'a str, &'a str)> {
    let begin = format!("```{language}\n");
    let block = |(at, _): (usize, _)| {
        let code = &page[at + begin.len()..];
        (&page[..at], &code[..code.find("```").expect("a block ends")])
    };
    page.match_indices(&begin).map(block).collect()
}

/// Data sets as small as can be under the names that the guide uses, pictures of two classes, and the guide's own.
fn world() -> Folder {
    let folder = Folder::new();
    let pixel = |i: usize| (i * 7919 % 251) as u8;
    for (part, count) in [("train", 40), ("t10k", 20)] {
        let pixels: Vec<u8> = (0..784 * count).map(pixel).collect();
        let labels: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
        let write = |kind: &str, header: Vec<u8>, values: &[u8]| {
            folder.write(&format!("sets/fashion-mnist/{part}-{kind}-ubyte"), [&*header, values].concat());
        };
        write("images-idx3", idx_header(2051, &[count as u32, 28, 28]), &pixels);
        write("labels-idx1", idx_header(2049, &[count as u32]), &labels);
    }
    let records: Vec<u8> = (0..10u8).flat_map(|label| [vec![label], (0..3072).map(pixel).collect()].concat()).collect();
    for part in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        folder.write(&format!("sets/cifar10/{part}.bin"), &records);
    }
    for (class, picture) in [("bee", 0..6), ("wasp", 6..12)] {
        for i in picture {
            let pixels: Vec<u8> = (0..3 * 64).map(|place| pixel(place * (i + 1))).collect();
            folder.write(&format!("photos/{class}/{i}.ppm"), [b"P6 8 8 255\n".as_slice(), &pixels].concat());
        }
    }
    folder.write("docs/guide/pictures/cat.jpg", fs::read(docs().join("guide/pictures/cat.jpg")).unwrap());
    folder
}

/// All `sh` blocks of the guide, one after the other, as a reader would give them.
#[test]
#[cfg(unix)]
fn commands_run() {
    let folder = world();
    let program = Path::new(env!("CARGO_BIN_EXE_densenet")).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(program.to_owned()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let path = path.unwrap();
    let mut count = 0;
    for (name, text) in pages() {
        for (_, commands) in blocks(&text, "sh") {
            let mut shell = Command::new("sh");
            shell.args(["-eu", "-c", commands]).current_dir(folder.root()).env("PATH", &path);
            shell.env("DENSENET_DATA", folder.path("sets")).env("HOME", folder.root());
            let (code, out, err) = told(shell.output().unwrap());
            assert_eq!(code, Some(0), "{name}: {commands}{out}{err}");
            count += 1;
        }
    }
    assert!(count > 10, "only {count} blocks");
    for made in ["seed.svg", "seed/report.html", "why/index.html", "alike.html", "reuse.svg", "reuse-photos.svg"] {
        assert!(folder.path(&format!("runs/guide/{made}")).exists(), "{made}");
    }
}

/// A `rust,ignore` block stands, line for line, in the source file that is linked before it.
#[test]
fn code_is_the_sources() {
    let mut count = 0;
    for (name, text) in pages() {
        for (before, code) in blocks(&text, "rust,ignore") {
            let of = links(before).into_iter().rfind(|link| link.ends_with(".rs")).expect("a source is linked");
            let source = fs::read_to_string(docs().join(&name).parent().unwrap().join(&of)).unwrap();
            assert!(source.contains(code), "{name}: this is not in {of}:\n{code}");
            count += 1;
        }
    }
    assert!(count > 10, "only {count} excerpts");
}

#[test]
fn links_lead_somewhere_and_every_page_is_in_the_summary() {
    let summary = links(&fs::read_to_string(docs().join("SUMMARY.md")).unwrap());
    for folder in ["", "guide", "history"] {
        for entry in fs::read_dir(docs().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = Path::new(folder).join(&name);
            if !name.ends_with(".md") || name == "SUMMARY.md" {
                continue;
            }
            assert!(summary.iter().any(|link| Path::new(link) == path), "SUMMARY.md does not name {}", path.display());
            for link in links(&fs::read_to_string(docs().join(&path)).unwrap()) {
                let target = docs().join(folder).join(link.split('#').next().unwrap());
                assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            }
        }
    }
}
