//! Any model of `mpc-ml` behind the traits of this module.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

use mpc_core::{Cost, Recipients, Session};
use mpc_ml::artifact::{ModelKind, SolverRecord};
use mpc_ml::data::{Cut, Dataset, Schema};
use mpc_ml::model::{Facts, Figures, Output, Run, Settings, Summary, divides, takes, weighs_rows};
use mpc_ml::{Agreed, Error, Model, Plan};
use serde::Deserialize;
use serde::de::value::Error as Found;
use serde::de::{Deserializer, Error as _, Visitor};
use serde_json::Value;
use toml::de::ValueDeserializer;

use super::{Chosen, Planned, Ready, Registered, Shares, Work};

/// A model by its type.
pub(super) struct Entry<M>(PhantomData<fn() -> M>);

impl<M> Entry<M> {
    pub(super) const NEW: Self = Self(PhantomData);
}

impl<M: Model> Registered for Entry<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn kinds(&self) -> &'static [ModelKind] {
        M::KINDS
    }

    fn settings(&self) -> &'static [&'static str] {
        fields_of::<M::Settings>()
    }

    fn retired(&self) -> &'static [&'static str] {
        M::RETIRED
    }

    fn read(
        &self,
        settings: ValueDeserializer<'_>,
    ) -> Result<Result<Box<dyn Chosen>, Error>, toml::de::Error> {
        let settings = M::Settings::deserialize(settings)?;
        if let Err(error) = settings.validate() {
            return Ok(Err(error));
        }
        Ok(Ok(Box::new(Choice::<M> { settings })))
    }
}

/// The names of the fields that a structure reads; none of what is no structure.
pub(crate) fn fields_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // It ends with an error on purpose, when the names are known.
    let _ = T::deserialize(Names(&mut names));
    names
}

/// Hears which fields a structure asks for, and gives none.
struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Found;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Found> {
        Err(Found::custom("a structure"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Found> {
        *self.0 = fields;
        Err(Found::custom("only the names are wanted"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Choice<M: Model> {
    settings: M::Settings,
}

impl<M: Model> fmt::Debug for Choice<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", M::NAME, self.settings)
    }
}

impl<M: Model> Chosen for Choice<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn settings(&self) -> Value {
        serde_json::to_value(&self.settings).unwrap_or_default()
    }

    fn as_any(&self) -> &dyn Any {
        &self.settings
    }

    fn clip(&self) -> f64 {
        self.settings.clip()
    }

    fn record(&self) -> SolverRecord {
        M::record(&self.settings)
    }

    fn suits(
        &self,
        (cut, own): (Cut, bool),
        schema: &Schema,
        recipients: Recipients,
    ) -> Result<(), Error> {
        takes::<M>(cut)?;
        if own {
            divides::<M>()?;
        }
        weighs_rows::<M>(schema)?;
        M::suits(&self.settings, schema, recipients)
    }

    fn plan(&self, facts: &Facts) -> Result<Box<dyn Planned>, Error> {
        Ok(Box::new(PlanOf::<M>(M::plan(&self.settings, facts)?)))
    }
}

struct PlanOf<M: Model>(M::Plan);

impl<M: Model> Planned for PlanOf<M> {
    fn outputs(&self) -> Vec<Output> {
        self.0.outputs()
    }

    fn figures(&self) -> Figures {
        self.0.figures()
    }

    fn cost(&self, me: usize) -> Cost {
        self.0.cost(me)
    }

    fn checkpoints(&self) -> u64 {
        self.0.checkpoints()
    }

    fn agree<'a>(self: Box<Self>, session: &'a mut Session) -> Work<'a, Box<dyn Ready>> {
        Box::pin(async move {
            let plan = Agreed::among(self.0, session).await?;
            Ok(Box::new(AgreedOn::<M>(plan)) as Box<dyn Ready>)
        })
    }
}

struct AgreedOn<M: Model>(Agreed<M::Plan>);

impl<M: Model> Ready for AgreedOn<M> {
    fn digest(&self) -> [u8; 32] {
        self.0.digest()
    }

    fn fit<'a>(
        self: Box<Self>,
        data: &'a Dataset,
        run: &'a mut Run<'_>,
    ) -> Work<'a, Box<dyn Shares>> {
        Box::pin(async move {
            let plan = self.0;
            let fitted = M::fit(&plan, data, run).await?;
            Ok(Box::new(SharesOf::<M> { plan, fitted }) as Box<dyn Shares>)
        })
    }
}

struct SharesOf<M: Model> {
    plan: Agreed<M::Plan>,
    fitted: M::Fitted,
}

impl<M: Model> Shares for SharesOf<M> {
    fn release<'a>(
        self: Box<Self>,
        data: &'a Dataset,
        run: &'a mut Run<'_>,
    ) -> Work<'a, Option<Summary>> {
        Box::pin(async move {
            let Self { plan, fitted } = *self;
            let fit = M::release(&plan, fitted, data, run).await?;
            Ok(fit.map(|fit| M::summary(&plan, fit)))
        })
    }
}
