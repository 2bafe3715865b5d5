//! Usage of instance profiles: the calls of other AWS services whose resources can reference a
//! profile, how they are made and parsed, and the verdicts that follow. It only reads. The gate
//! (`session`) decides about permission and timing of calls. It does not know Lua.

mod caller;
pub(crate) mod endpoint;
pub(crate) mod extract;
mod file;
mod findings;
mod matching;
mod reasons;
pub(crate) mod refusal;
pub(crate) mod request;
mod scan;
mod source;
mod sources;
mod verdict;

pub use caller::fetch;
pub use extract::{ExtractedRecord, RecordPage};
pub use file::MAX_AGE;
pub use findings::{
    Check, CheckOutcome, Gap, GapCause, Reason, ReferencingResource, Region, RegionState, Scan,
    ScanScope, kind_of, service_of,
};
pub use matching::{By, Mention};
pub use scan::{Asking, Patience, Transport, Watch, Whereabouts, is_everywhere, scan, why};
pub use source::{Given, Means, Paging, Route, Source, SourceCall, SourceField};
pub use sources::{ACTIONS, REGIONS, SOURCES, known_regions, source};
pub use verdict::{Judgement, Reference, RoleKnown, RoleUse, Ruling, Verdict, VerdictSubject};
