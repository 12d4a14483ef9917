;; Imports a function that needs a capability.
(module
  (import "aileron_host" "spawn" (func (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")))
