// Pages that are complete without script: menus close when something else is touched.
import "./core/menus.js";
