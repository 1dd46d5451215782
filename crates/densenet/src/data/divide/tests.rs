use super::*;

/// The indices that are held out when units are ordered by index.
fn first(targets: &Targets, groups: &[usize], count: usize, fraction: f64) -> Vec<usize> {
    let (kept, held) = held_out(targets, groups, count, fraction, |index| index);
    let mut all = [kept.clone(), held.clone()].concat();
    assert!(kept.is_sorted() && held.is_sorted());
    all.sort();
    assert_eq!(all, (0..count).collect::<Vec<_>>());
    held
}

#[test]
fn a_share_of_every_class_rounded_up_and_never_all_of_it() {
    let classes = Targets::Classes([vec![0; 20], vec![1; 5], vec![2; 2], vec![3; 1]].concat());
    assert_eq!(first(&classes, &[], 28, 0.1), [0, 1, 20, 25]);
    assert_eq!(first(&classes, &[], 28, 0.99), [(0..19).collect(), (20..24).collect(), vec![25]].concat());
    for count in [10, 30, 70, 5_000] {
        assert_eq!(first(&Targets::Classes(vec![0; count]), &[], count, 0.1).len(), count / 10);
    }
}

#[test]
fn any_number_of_labels_is_one_class() {
    let labels = Targets::Labels(vec![Some(true), None, Some(false), None, None, None, Some(true), Some(true)]);
    assert_eq!(first(&labels, &[], 4, 0.5), [0, 1]);
}

#[test]
fn groups_are_not_torn_apart() {
    let classes = Targets::Classes([[0; 10], [1; 10]].concat());
    // Five pictures per group except for the last two, each in a class of its own.
    let groups = [[0; 5], [1; 5], [2; 5], [3; 5]].concat();
    assert_eq!(first(&classes, &groups, 20, 0.5), [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]);
    // All are too large for a tenth: the smallest.
    assert_eq!(first(&classes, &[vec![7; 6], vec![8; 4], vec![9; 10]].concat(), 20, 0.1), [6, 7, 8, 9]);
    // A large group is skipped in favour of those that fit.
    let one = Targets::Classes(vec![0; 20]);
    let groups: Vec<usize> = [vec![0; 16], vec![1], vec![2], vec![3], vec![4]].concat();
    assert_eq!(first(&one, &groups, 20, 0.1), [16, 17]);
    // A group of two classes belongs to the more frequent one.
    let mixed = Targets::Classes(vec![0, 0, 1, 1, 1, 0]);
    assert_eq!(first(&mixed, &[5, 5, 5, 6, 6, 7], 6, 0.3), [5]);
}
