//! The node at work: it meets the other nodes of a study and runs it with them.

mod audit;
mod events;
mod evidence;
mod finished;
mod give_up;
mod mesh;
mod outputs;
mod own_side;
mod phases;
mod progress;
mod receipt;
mod recovery;
mod release;
mod rows_digest;
mod seal;
mod source;
mod state;
mod stop;
mod strangers;
mod study_run;
mod table;

pub use audit::{Again, AuditRecord, Exported, Keys, Verdict, forget};
pub use events::{Event, Events};
pub use finished::Finished;
pub use give_up::{Closing, establish, give_up};
pub use mesh::{context, link_settings, pinned};
pub use own_side::OwnSide;
pub use progress::{observer, say, terminal};
pub use receipt::{PhaseReceipt, Receipt, Revealed};
pub use recovery::Recovery;
pub use release::{FolderLog, StudyFolder};
pub use rows_digest::BoundRows;
pub use seal::Sealer;
pub use state::State;
pub use stop::{StopSignal, Stopped};
pub use study_run::Participant;
