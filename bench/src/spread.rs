//! Figures of several rounds.

/// The least, the median and the most of some figures.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The least.
    pub least: f64,
    /// The median.
    pub median: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of these figures, of which there is at least one.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let (least, most) = (figures[0], figures[figures.len() - 1]);
        Self { least, median: figures[figures.len() / 2], most }
    }
}
