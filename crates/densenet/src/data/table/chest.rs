//! The chest X-ray sets of Stanford (CheXpert) and of the NIH (ChestX-ray14), recognised by the names of their columns
//! and read as torchxrayvision reads them.

use super::columns::{Columns, Form, Group, Labels};
use super::rows::Table;

/// CheXpert's column for X-rays without findings; where it is 1, all other labels except [`DEVICES`] are 0.
const NO_FINDING: &str = "No Finding";

/// A label that says nothing about health.
pub(super) const DEVICES: &str = "Support Devices";

/// CheXpert's labels as the names of its columns, sorted.
const CHEXPERT: [&str; 13] = [
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    DEVICES,
];

/// ChestX-ray14's labels, sorted.
pub(super) const FINDINGS: [&str; 14] = [
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
];

/// The columns of CheXpert's `train.csv` and `valid.csv`, if the table is one of these.
pub(super) fn chexpert(table: &Table) -> Option<Columns> {
    let labels = CHEXPERT.iter().map(|name| table.column(name)).collect::<Option<Vec<usize>>>()?;
    Some(Columns {
        form: Form::CheXpert,
        path: table.column("Path")?,
        labels: Labels::Each(labels),
        no_finding: Some(table.column(NO_FINDING)?),
        split: None,
        group: Some(Group::PatientFolder),
    })
}

/// The columns of ChestX-ray14's `Data_Entry_2017.csv`, in either edition, if the table is one of these.
pub(super) fn chest_xray14(table: &Table) -> Option<Columns> {
    Some(Columns {
        form: Form::ChestXray14,
        path: table.column("Image Index")?,
        labels: Labels::Findings(table.column("Finding Labels")?, FINDINGS.into()),
        no_finding: None,
        split: None,
        group: table.column("Patient ID").map(Group::Column),
    })
}

/// ChestX-ray14's finding with this name, including "No Finding".
pub(super) fn finding(name: &str) -> Option<&'static str> {
    FINDINGS.into_iter().chain([NO_FINDING]).find(|&known| known == name)
}

/// A label's name in both sets and torchxrayvision.
pub(super) fn label_name(column: &str) -> &str {
    if column == "Pleural Effusion" { "Effusion" } else { column }
}

/// The patient in CheXpert's `train/patient00001/study1/view1_frontal.jpg`.
pub(super) fn patient(path: &str) -> Option<&str> {
    path.split('/').find(|folder| folder.strip_prefix("patient").is_some_and(is_number))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
