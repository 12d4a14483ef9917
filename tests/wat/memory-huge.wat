;; Starts with more than any worker may have.
(module
  (memory (export "memory") 20000)
  (func (export "_start")))
