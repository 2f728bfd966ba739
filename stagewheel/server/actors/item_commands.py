"""The commands that are simply delivered to their item."""

from stagewheel.protocol.messages import (
    AliasItem,
    ChangeStage,
    CreateItem,
    DeleteItem,
    EnrolItem,
    EraseClient,
    HoldItem,
    PutActivity,
    PutClient,
    PutTask,
    RaiseEvent,
    SendChat,
    StartWorkflow,
    TryRule,
    UpdateActivity,
    UpdateItem,
    UpdateTask,
)

ItemCommand = (
    CreateItem
    | UpdateItem
    | ChangeStage
    | RaiseEvent
    | DeleteItem
    | StartWorkflow
    | HoldItem
    | EnrolItem
    | PutClient
    | PutTask
    | UpdateTask
    | SendChat
    | PutActivity
    | UpdateActivity
    | TryRule
    | AliasItem
    | EraseClient
)
