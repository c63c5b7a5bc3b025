//! The node at work: it meets the other nodes of a study and runs it with them.

mod events;
mod finished;
mod give_up;
mod mesh;
mod outputs;
mod own_side;
mod phases;
mod progress;
mod receipt;
mod release;
mod source;
mod study_run;
mod until_stopped;

pub use events::{Event, Events};
pub use finished::Finished;
pub use give_up::give_up;
pub use mesh::{context, link_settings, pinned};
pub use own_side::OwnSide;
pub use progress::{observer, say, terminal};
pub use receipt::{PhaseReceipt, Receipt, Revealed};
pub use release::StudyFolder;
pub use study_run::Participant;
pub use until_stopped::{Stopped, until_stopped};
