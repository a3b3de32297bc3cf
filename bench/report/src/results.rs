//! Result files of k6 runs: one for each script and load, named after the run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Failure;

/// The results of one run.
pub(crate) struct Results {
    folder: PathBuf,
    run: String,
    names: BTreeSet<String>,
}

impl Results {
    /// Opens the results of `run`, or of the newest run in `folder`.
    ///
    /// # Errors
    ///
    /// If the run does not exist.
    pub(crate) fn open(folder: &Path, run: Option<&str>) -> Result<Self, Failure> {
        let mut files = BTreeSet::new();
        for entry in fs::read_dir(folder)? {
            files.insert(entry?.file_name().to_string_lossy().into_owned());
        }
        let files: Vec<_> = files.iter().filter_map(|file| parts(file)).collect();
        // An id begins with a time.
        let newest = files.iter().map(|(run, _)| *run).max();
        let run = run.or(newest).ok_or_else(|| format!("no results in {}", folder.display()))?;
        let names: BTreeSet<_> =
            files.iter().filter(|(of, _)| *of == run).map(|(_, name)| (*name).to_owned()).collect();
        if names.is_empty() {
            return Err(format!("no run `{run}` in {}", folder.display()).into());
        }
        Ok(Self { folder: folder.to_owned(), run: run.to_owned(), names })
    }

    /// The names of the files: `api-1x`, `knee-00250`.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub(crate) fn read(&self, name: &str) -> Result<Run, Failure> {
        let path = self.folder.join(format!("{}-{name}.json", self.run));
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Run(serde_json::from_str(&text)?))
    }
}

/// Splits `RUN-NAME.json` into run and name.
fn parts(file: &str) -> Option<(&str, &str)> {
    let stem = file.strip_suffix(".json")?;
    let at = ["-api-", "-webhooks-", "-knee-"].iter().find_map(|kind| stem.rfind(kind))?;
    Some((&stem[..at], &stem[at + 1..]))
}

/// The figures of one script at one load.
pub(crate) struct Run(Value);

impl Run {
    /// A fact that the run has recorded about itself.
    pub(crate) fn noted(&self, name: &str) -> Option<&str> {
        self.0["run"][name].as_str()
    }

    /// The offered requests a second.
    pub(crate) fn offered(&self) -> Option<f64> {
        self.0["rate"].as_f64()
    }

    pub(crate) fn figure(&self, metric: &str, value: &str) -> Result<f64, Failure> {
        let found = self.0["metrics"][metric]["values"][value].as_f64();
        found.ok_or_else(|| format!("no `{value}` of `{metric}`").into())
    }

    pub(crate) fn duration(&self, scenario: &str, quantile: &str) -> Result<f64, Failure> {
        self.figure(&format!("http_req_duration{{scenario:{scenario}}}"), quantile)
    }

    pub(crate) fn users(&self) -> f64 {
        self.0["users"].as_f64().unwrap_or_default()
    }

    /// Returns the requests a second of a scenario.
    pub(crate) fn rate(&self, scenario: &str) -> Result<f64, Failure> {
        let seconds = self.0["seconds"].as_f64().unwrap_or(1.0);
        Ok(self.figure(&format!("http_reqs{{scenario:{scenario}}}"), "count")? / seconds)
    }

    pub(crate) fn thresholds_kept(&self) -> bool {
        let metrics =
            self.0["metrics"].as_object().into_iter().flat_map(|metrics| metrics.values());
        let thresholds = metrics.filter_map(|metric| metric["thresholds"].as_object());
        thresholds
            .flat_map(|thresholds| thresholds.values())
            .all(|threshold| threshold["ok"] == true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(folder.path().join(file), "{}").unwrap();
        }
        folder
    }

    fn names(folder: &tempfile::TempDir, run: Option<&str>) -> Result<Vec<String>, String> {
        let results = Results::open(folder.path(), run).map_err(|error| error.to_string())?;
        Ok(results.names().map(str::to_owned).collect())
    }

    #[test]
    fn the_newest_run_is_taken_and_an_older_one_by_its_name() {
        let folder = folder(&[
            "20261127T085000Z-81c3ecf-api-1x.json",
            "20261127T085000Z-81c3ecf-knee-00250.json",
            "20261201T000000Z-v1-2-gabc-dirty-api-1x.json",
            "knee.svg",
        ]);
        assert_eq!(names(&folder, None).unwrap(), ["api-1x"]);
        let older = names(&folder, Some("20261127T085000Z-81c3ecf")).unwrap();
        assert_eq!(older, ["api-1x", "knee-00250"]);
        assert!(names(&folder, Some("20261127T085000Z")).is_err());
        assert!(Results::open(tempfile::tempdir().unwrap().path(), None).is_err());
    }

    /// The committed results, from which the report is made.
    #[test]
    fn every_result_says_which_run_commit_time_and_machine_it_comes_from() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../k6-results");
        let mut results = 0;
        for entry in fs::read_dir(kept).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            results += 1;
            let run = Run(serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap());
            for name in ["id", "commit", "started_at", "processor", "cores", "system"] {
                let noted = run.noted(name).is_some_and(|value| !value.is_empty());
                assert!(noted, "{} has no `{name}`", path.display());
            }
            let file = path.file_name().unwrap().to_string_lossy();
            assert_eq!(parts(&file).map(|(id, _)| id), run.noted("id"), "{file}");
        }
        assert!(results > 0);
    }
}
