;; Starts with 100 MiB.
(module
  (memory (export "memory") 1600)
  (func (export "_start")))
