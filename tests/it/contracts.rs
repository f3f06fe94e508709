//! What every engine must do, whichever it is: one suite, run on each of them.

/// Makes of each contract a test on each database.
macro_rules! on_every_database {
    ($($contract:ident)*) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $contract() {
                    super::$contract(crate::contracts::database::Engine::sqlite().await).await;
                }
            )*
        }

        mod postgres {
            $(
                #[tokio::test]
                async fn $contract() {
                    if let Some(engine) = crate::contracts::database::Engine::postgres().await {
                        super::$contract(engine).await;
                    }
                }
            )*
        }
    };
}

mod database;
mod store;
mod family;
mod fleet;
mod contention;
mod queue;
