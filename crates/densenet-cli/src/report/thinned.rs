//! A curve with few points, whatever the number of values.

/// Points of a curve, at most.
const MOST: usize = 400;

/// A curve whose points are means over as many values each, in the order that they came in.
#[derive(Debug, Default)]
pub struct Thinned {
    bins: Vec<Bin>,
    /// Values of every bin but the last, as a power of two.
    doublings: u32,
}

/// Sums over values.
#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    count: u64,
    x: f64,
    y: f64,
}

impl Bin {
    fn join(self, other: &Self) -> Self {
        Self { count: self.count + other.count, x: self.x + other.x, y: self.y + other.y }
    }
}

impl Thinned {
    /// Adds a value; both numbers are finite.
    pub fn add(&mut self, x: f64, y: f64) {
        let value = Bin { count: 1, x, y };
        match self.bins.last_mut() {
            Some(last) if last.count < 1 << self.doublings => *last = last.join(&value),
            _ => self.bins.push(value),
        }
        if self.bins.len() > MOST {
            self.bins = self.bins.chunks(2).map(|pair| pair.iter().fold(Bin::default(), Bin::join)).collect();
            self.doublings += 1;
        }
    }

    /// The points, each the mean of its values.
    pub fn points(&self) -> Vec<[f64; 2]> {
        self.bins.iter().map(|bin| [bin.x / bin.count as f64, bin.y / bin.count as f64]).collect()
    }
}

/// The points of `values`, thinned.
pub fn thinned(values: impl IntoIterator<Item = [f64; 2]>) -> Vec<[f64; 2]> {
    let mut curve = Thinned::default();
    values.into_iter().for_each(|[x, y]| curve.add(x, y));
    curve.points()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_stay_as_they_are() {
        let values: Vec<[f64; 2]> = (0..MOST).map(|i| [i as f64, (i * i) as f64]).collect();
        assert_eq!(thinned(values.clone()), values);
    }

    #[test]
    fn many_values_become_means_in_their_order() {
        let count = 1_000_003;
        let points = thinned((0..count).map(|i| [f64::from(i), f64::from(i % 2)]));
        assert!((MOST / 2..=MOST).contains(&points.len()), "{}", points.len());
        assert!(points.windows(2).all(|pair| pair[0][0] < pair[1][0]));
        let (last, others) = points.split_last().unwrap();
        assert!(others.iter().all(|point| point[1] == 0.5), "{others:?}");
        assert!(last[0] <= f64::from(count));
    }
}
