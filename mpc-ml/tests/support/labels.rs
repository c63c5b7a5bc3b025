//! A log of what a party reveals.

use std::sync::{Arc, Mutex};

use mpc_core::ReleaseLog;

/// The labels of what was revealed, in order.
#[derive(Clone, Default)]
pub struct Labels(pub Arc<Mutex<Vec<String>>>);

impl ReleaseLog for Labels {
    fn record(&mut self, label: &str, _: &[u8]) -> Result<(), String> {
        self.0.lock().unwrap().push(label.to_owned());
        Ok(())
    }
}
