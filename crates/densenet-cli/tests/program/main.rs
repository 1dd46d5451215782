//! The program from end to end.

#[macro_use]
mod folder;

mod commands;
mod compare;
mod compare_report;
mod damage;
mod data;
mod deploy;
mod evaluation;
mod explain;
mod fashion;
mod features;
mod folders;
mod guide;
mod other_weights;
mod quantize;
mod reference;
mod report;
mod reuse;
mod runs;
mod serve;
mod serve_attacked;
mod server;
mod training;
