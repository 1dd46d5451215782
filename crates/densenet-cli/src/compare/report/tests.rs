//! Verdicts and pages of made-up comparisons whose differences are known.

use densenet::config::{Activation, Joining};
use densenet::data::Augment;
use densenet::training::Settings;

use super::answer::{Answer, answers};
use super::claims::Verdict;
use super::folder::Folder;
use super::*;
use crate::compare::plan::{Experiment, Images, Match, Network, Plan};
use crate::compare::results::{Correct, CurvePoint, GRADIENTS, InitialGradients, LayerGradient, RESULTS};

/// A run of a dense network; `right` of 10,000 test pictures are classified correctly.
fn run(experiment: &str, network: &str, images: usize, seed: u64, right: usize) -> RunResult {
    let gradients = vec![LayerGradient { layer: "features.conv0".into(), norm: 0.5, relative: 0.01 }];
    RunResult {
        id: format!("{experiment}-{network}-{images}-{seed}"),
        experiment: experiment.into(),
        network: network.into(),
        joining: Joining::Dense,
        activation: Activation::Pre,
        bottleneck: true,
        compression: 0.5,
        depth: 40,
        growth_rate: 12,
        parameters: 100_000,
        macs: 50_000_000,
        data: "fashion-mnist".into(),
        images,
        augment: "none".into(),
        seed,
        epochs: 4.0,
        steps: 1000,
        train_loss: 0.1,
        train_top1: 0.97,
        test_loss: 0.4,
        test_top1: right as f64 / 10_000.0,
        test_correct: Correct((0..10_000).map(|picture| picture < right).collect()),
        seconds: 60.0,
        diverged: None,
        curve: vec![CurvePoint { step: 0, train_loss: 2.3, test_loss: None, gradients }],
    }
}

/// The same run joined differently, with mistakes on other pictures.
fn joined(joining: Joining, mut of: RunResult) -> RunResult {
    let network = format!("{joining:?}").to_lowercase();
    of.test_correct.0.reverse();
    RunResult { joining, id: format!("{}-{network}", of.id), network, ..of }
}

/// The same, diverged.
fn diverged(of: RunResult) -> RunResult {
    let (diverged, test_correct, curve) = (Some("the loss is <NaN>".into()), Correct(Vec::new()), Vec::new());
    let [train_loss, train_top1, test_loss, test_top1] = [f64::NAN; 4];
    RunResult { train_loss, train_top1, test_loss, test_top1, test_correct, diverged, curve, ..of }
}

/// A comparison of one experiment, named `e`, on `sizes` numbers of pictures.
fn folder(matched: Match, sizes: usize, runs: Vec<RunResult>) -> Folder {
    let images = vec![Images::Count(1); sizes];
    let networks = ["a", "b", "c"].map(|name| Network { name: name.into(), ..Network::default() }).to_vec();
    let experiment = Experiment { name: "e".into(), matched, networks, images, augment: vec![Augment::None], seeds: 3 };
    Folder { runs, ..of_plan(vec![experiment]) }.in_order()
}

/// A comparison without a run.
fn of_plan(experiments: Vec<Experiment>) -> Folder {
    let (data, network) = ("fashion-mnist".into(), "densenet-bc-40-12".into());
    let plan =
        Plan { data, network, size: None, steps: 1000, training: Settings::default(), experiments, gradients: None };
    Folder { runs: Vec::new(), gradients: Vec::new(), plan, machine: Map::new() }
}

fn answer(folder: &Folder, id: &str) -> Answer {
    answers(folder).into_iter().find(|answer| answer.id == id).unwrap()
}

/// The verdict on the claim `id` where, for each seed, a dense network gets that many pictures right, and a residual
/// and a plain one that many fewer.
fn verdict_of(id: &str, matched: Match, right: &[usize], less: [&[i64]; 2]) -> Verdict {
    let mut runs = Vec::new();
    for (seed, &dense) in (1..).zip(right) {
        runs.push(run("e", "dense", 1000, seed, dense));
        for (joining, less) in [Joining::Residual, Joining::Plain].into_iter().zip(less) {
            let other = dense.saturating_add_signed(-less[seed as usize - 1] as isize);
            let of = run("e", "other", 1000, seed, other);
            runs.push(joined(joining, RunResult { macs: 40_000_000, parameters: 103_000, ..of }));
        }
    }
    answer(&folder(matched, 1, runs), id).verdict
}

#[test]
fn accuracy_at_as_many_parameters_is_held_not_held_or_not_decided() {
    let of = |less| verdict_of("parameters", Match::Parameters, &[8000, 8100, 8050], less);
    assert_eq!(of([&[500, 520, 480], &[900, 910, 905]]), Verdict::Held);
    assert_eq!(of([&[-500, -520, -480], &[900, 910, 905]]), Verdict::NotHeld);
    // Too little for so few test pictures; too different from seed to seed.
    assert_eq!(of([&[50, 52, 48], &[900, 910, 905]]), Verdict::NotDecided);
    assert_eq!(of([&[500, -200, 900], &[900, 910, 905]]), Verdict::NotDecided);
    let of_widths = verdict_of("parameters", Match::Widths, &[8000, 8100], [&[500, 510], &[900, 910]]);
    assert_eq!(of_widths, Verdict::NotDecided);
}

#[test]
fn mistakes_on_the_same_pictures_leave_a_small_difference_decided() {
    let mut runs = Vec::new();
    for seed in 1..=3 {
        runs.push(run("e", "dense", 1000, seed, 8000));
        for joining in [Joining::Residual, Joining::Plain] {
            let test_correct = run("e", "other", 1000, seed, 7950).test_correct;
            runs.push(RunResult { test_correct, ..joined(joining, run("e", "other", 1000, seed, 7950)) });
        }
    }
    assert_eq!(answer(&folder(Match::Parameters, 1, runs), "parameters").verdict, Verdict::Held);
}

#[test]
fn one_seed_is_decided_by_the_test_pictures_or_not_at_all() {
    assert_eq!(verdict_of("parameters", Match::Parameters, &[8000], [&[500], &[900]]), Verdict::Held);
    assert_eq!(verdict_of("parameters", Match::Parameters, &[8000], [&[50], &[900]]), Verdict::NotDecided);
    let runs = vec![run("e", "dense", 1000, 1, 8000), joined(Joining::Plain, run("e", "plain", 1000, 1, 7000))];
    let folder = folder(Match::Parameters, 1, runs);
    let said: Vec<String> = answer(&folder, "parameters").comparisons.iter().map(|of| of.in_words()).collect();
    assert!(said[0].ends_with("dense minus residual: no such runs yet."), "{said:?}");
    assert!(said[1].contains("from the error of the test pictures alone; 1 seed, 1 setting): dense 80.00"));
    let gap = &answer(&folder, "overfitting").comparisons[1];
    assert_eq!(gap.verdict, Verdict::NotDecided);
    assert!(gap.in_words().contains("one seed says nothing about others"), "{}", gap.in_words());
}

#[test]
fn what_needs_a_run_that_diverged_is_not_decided() {
    let mut runs = Vec::new();
    for seed in 1..=3 {
        runs.push(run("e", "dense", 1000, seed, 8000));
        for joining in [Joining::Residual, Joining::Plain] {
            runs.push(joined(joining, run("e", "other", 1000, seed, 7000)));
        }
    }
    assert_eq!(answer(&folder(Match::Parameters, 1, runs.clone()), "parameters").verdict, Verdict::Held);
    let last = runs.pop().unwrap();
    runs.push(diverged(last));
    let one = answer(&folder(Match::Parameters, 1, runs.clone()), "parameters");
    assert_eq!([0, 1].map(|which| one.comparisons[which].verdict), [Verdict::Held, Verdict::NotDecided]);
    let said = one.comparisons[1].in_words();
    assert!(said.contains("2 seeds, 1 setting") && said.ends_with("because a run that it needs diverged."), "{said}");
    // A network that diverged still has its number of parameters.
    let residual = |run: RunResult| if run.joining == Joining::Residual { diverged(run) } else { run };
    let all = folder(Match::Parameters, 1, runs.into_iter().map(residual).collect());
    let said = answer(&all, "parameters").comparisons[0].in_words();
    assert!(said.ends_with("dense minus residual: not decided, because a run that it needs diverged."), "{said}");
    assert_eq!(answer(&all, "arithmetic").comparisons[0].difference.as_ref().unwrap().seeds, 3);
}

#[test]
fn a_page_tells_which_runs_diverged() {
    let plain = diverged(joined(Joining::Plain, run("e", "other", 500, 1, 7000)));
    let (page, numbers) = pages(written(&[run("e", "dense", 500, 1, 8000), plain]).path());
    assert!(page.contains("1 run diverged.") && page.contains("<td>diverged</td><td>–</td><td>–</td>"), "{page}");
    assert!(page.contains("e-other-500-1-plain: the loss is &lt;NaN&gt;") && !page.contains(">NaN"), "{page}");
    assert_eq!(numbers["runs"][1]["diverged"], "the loss is <NaN>");
    assert!(!pages(written(&[run("e", "dense", 500, 1, 8000)]).path()).0.contains("run diverged."));
}

#[test]
fn arithmetic_has_to_be_more_at_as_many_parameters_and_no_gain_at_as_much_arithmetic() {
    let of = |macs: u64, less: usize| {
        let mut runs = Vec::new();
        for seed in 1..=3 {
            for (experiment, macs) in [("e", macs), ("m", 50_000_000)] {
                runs.push(run(experiment, "dense", 1000, seed, 8000));
                let other = joined(Joining::Residual, run(experiment, "other", 1000, seed, 8000 - less));
                runs.push(RunResult { macs, ..other });
            }
        }
        let mut folder = folder(Match::Parameters, 1, runs);
        let other = Experiment { name: "m".into(), matched: Match::Macs, ..folder.plan.experiments[0].clone() };
        folder.plan.experiments.push(other);
        answer(&folder, "arithmetic")
    };
    let held = of(25_000_000, 0);
    // The test pictures alone make it +-1.1 points, so a tie is not yet known to be less than 1 point ahead.
    assert_eq!((held.comparisons[0].verdict, held.verdict), (Verdict::Held, Verdict::NotDecided));
    assert!(
        held.comparisons[0].in_words().contains("dense against residual: +100.0\u{a0}%"),
        "{}",
        held.comparisons[0].in_words()
    );
    assert_eq!(of(25_000_000, 0).comparisons[1].difference.as_ref().unwrap().mean, 0.0);
    assert_eq!(of(60_000_000, 0).verdict, Verdict::NotHeld);
    assert_eq!(of(25_000_000, 800).verdict, Verdict::NotHeld);
}

#[test]
fn little_data_need_a_greater_advantage_than_all() {
    let of = |sizes: &[(usize, usize)]| {
        let mut runs = Vec::new();
        for seed in 1..=3 {
            for &(images, less) in sizes {
                runs.push(run("e", "dense", images, seed, 8000));
                for joining in [Joining::Residual, Joining::Plain] {
                    runs.push(joined(joining, run("e", "other", images, seed, 8000 - less)));
                }
            }
        }
        answer(&folder(Match::Widths, 3, runs), "little-data")
    };
    assert_eq!(of(&[(500, 900), (2000, 700), (10_000, 100)]).verdict, Verdict::Held);
    let not_held = of(&[(500, 900), (2000, 700), (10_000, 1500)]);
    let mean = |which: usize| not_held.comparisons[which].difference.as_ref().unwrap().mean;
    assert_eq!(not_held.verdict, Verdict::NotHeld);
    assert!((mean(0) - 0.08).abs() < 1e-9 && (mean(2) + 0.07).abs() < 1e-9, "{} {}", mean(0), mean(2));
    assert_eq!(of(&[(500, 900), (2000, 700), (10_000, 790)]).verdict, Verdict::NotDecided);
    // Before the last size has runs, the largest size is not known.
    let under_way = of(&[(500, 900), (2000, 700)]);
    assert!(under_way.verdict == Verdict::NotDecided && under_way.comparisons[0].difference.is_none());
}

#[test]
fn what_saves_no_parameters_is_no_saving() {
    let of = |parameters: u64, less: usize| {
        let with = (1..=3).map(|seed| run("e", "dense", 1000, seed, 8000 - less));
        let without = (1..=3).map(|seed| run("e", "basic", 1000, seed, 8000));
        let without = without.map(|mut run| {
            run.test_correct.0.reverse();
            RunResult { bottleneck: false, parameters, ..run }
        });
        let answer = answer(&folder(Match::Widths, 1, with.chain(without).collect()), "bottleneck");
        answer.comparisons.into_iter().map(|of| of.verdict).collect::<Vec<_>>()
    };
    assert_eq!(of(200_000, 1000), [Verdict::Held, Verdict::NotHeld]);
    assert_eq!(of(90_000, 0), [Verdict::NotHeld, Verdict::NotDecided]);
}

/// The first layer's relative gradient in dense and plain networks changes by this factor from L = 10 to 100.
fn starts(dense: f64, plain: f64) -> Vec<InitialGradients> {
    let mut starts = Vec::new();
    for (joining, times) in [(Joining::Dense, dense), (Joining::Plain, plain)] {
        for (depth, relative) in [(10, 0.1), (40, 0.3), (100, 0.1 * times)] {
            for seed in 1..=2u64 {
                let relative = relative * (1.0 + 0.01 * seed as f64 * depth as f64 / 100.0);
                let layer = LayerGradient { layer: "features.conv0".into(), norm: relative, relative };
                let (network, activation) = (format!("{joining:?}-{depth}"), Activation::Pre);
                let layers = vec![layer; depth.min(30)];
                starts.push(InitialGradients { network, joining, activation, depth, seed, step: 0, layers, loss: 2.3 });
            }
        }
    }
    starts
}

#[test]
fn gradients_that_vanish_or_explode_in_plain_networks_alone() {
    let of = |dense, plain| {
        let folder = Folder { gradients: starts(dense, plain), ..of_plan(Vec::new()) };
        answer(&folder, "gradients")
    };
    let held = of(0.5, 0.001);
    assert_eq!(held.verdict, Verdict::Held);
    let said = held.comparisons[0].in_words();
    assert!(said.contains("dense against plain: 0.0020 times") && said.contains("from L = 10 to 100"), "{said}");
    // Exploding is as bad as vanishing.
    assert_eq!([of(1.1, 30.0).verdict, of(0.01, 5.0).verdict], [Verdict::Held, Verdict::NotHeld]);
    assert_eq!(of(0.5, 0.5).verdict, Verdict::NotDecided);
}

/// Writes a folder with `lines` of results.
fn written(runs: &[RunResult]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let plan = "data = \"fashion-<mnist>\"\nnetwork = \"densenet-bc-40-12\"\nsteps = 1000\n[[experiments]]\nname = \"e\"\n\
                networks = [{ name = \"dense\" }, { name = \"residual\" }, { name = \"plain\" }]\nimages = [500, \"all\"]\n\
                augment = [\"none\"]\nseeds = 2\n";
    std::fs::write(folder.path().join("plan.toml"), plan).unwrap();
    let lines = |values: Vec<String>| values.iter().map(|line| format!("{line}\n")).collect::<String>();
    let results = runs.iter().map(|run| serde_json::to_string(run).unwrap()).collect();
    std::fs::write(folder.path().join(RESULTS), lines(results)).unwrap();
    let gradients = lines(starts(0.5, 0.001).iter().map(|start| serde_json::to_string(start).unwrap()).collect());
    std::fs::write(folder.path().join(GRADIENTS), gradients.repeat(2)).unwrap();
    folder
}

fn pages(folder: &Path) -> (String, Value) {
    write(folder).unwrap();
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    (text(REPORT), serde_json::from_str(&text(NUMBERS)).unwrap())
}

#[test]
fn a_page_has_all_sections_and_the_numbers_beside_it() {
    let mut runs = Vec::new();
    for (images, seed) in [(500, 1), (500, 2), (60_000, 1), (60_000, 2)] {
        runs.push(run("e", "dense", images, seed, 8000));
        for joining in [Joining::Residual, Joining::Plain] {
            runs.push(joined(joining, run("e", "<script>", images, seed, 7000)));
        }
    }
    let folder = written(&runs);
    std::fs::write(folder.path().join("machine.json"), r#"{"processor":"a & b","threads":2}"#).unwrap();
    let (page, numbers) = pages(folder.path());
    let sections =
        ["What these runs say", "Gradients stay alive", "Little data", "Few parameters", "Not little arithmetic"];
    let more = ["Pre-activation", "Bottleneck layers", "Compression", "Less overfitting", "How a claim is decided"];
    for heading in sections.into_iter().chain(more).chain(["All runs", "Plan", "Machine and time"]) {
        assert!(page.contains(&format!("<h2>{heading}</h2>")), "{heading}: {page}");
    }
    for part in ["fashion-&lt;mnist&gt;", "a &amp; b", "12 min 00 s", "+10.00 points", "500 pictures, no augmentation"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("Under way") && !page.contains("<script>\"") && page.len() < 1_000_000);
    assert_eq!((&numbers["runs_planned"], numbers["runs"].as_array().unwrap().len()), (&12.into(), 12));
    assert_eq!(numbers["claims"][1]["charts"][0]["curves"][0]["points"][1], serde_json::json!([60_000.0, 0.8]));
    assert_eq!(numbers["claims"][0]["verdict"], "held");
    let spread = numbers["claims"][0]["charts"][0]["curves"][1]["spread"][2].as_array().unwrap();
    // Of two seeds, though their lines are there twice.
    let wide = (spread[1].as_f64().unwrap() / spread[0].as_f64().unwrap()).ln() / 2.0;
    assert!((wide - (1.02f64 / 1.01).ln() / 2f64.sqrt()).abs() < 1e-9, "{spread:?}");
}

#[test]
fn half_of_the_runs_make_a_page_that_says_so() {
    let runs: Vec<RunResult> = (1..=2).map(|seed| run("e", "dense", 500, seed, 8000)).collect();
    let folder = written(&[&runs[..], &runs[..]].concat());
    let (page, numbers) = pages(folder.path());
    assert!(page.contains("2 of 12 runs done"), "{page}");
    assert_eq!(numbers["claims"].as_array().unwrap().len(), 8);
    assert!(pages(written(&[]).path()).0.contains("No run is done yet."));
    std::fs::write(folder.path().join(RESULTS), "{\"id\":3}\n").unwrap();
    let error = format!("{:#}", write(folder.path()).unwrap_err());
    assert!(error.contains("results.jsonl:1: invalid type"), "{error}");
}
