"""The commands that are simply delivered to their item."""

from stagewheel.protocol.messages import (
    ChangeStage,
    CreateItem,
    DeleteItem,
    EnrolItem,
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
)
