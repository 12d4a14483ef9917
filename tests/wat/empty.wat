;; Does nothing: exit 0 and no output.
(module
  (memory (export "memory") 1)
  (func (export "_start")))
