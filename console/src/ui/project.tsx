/** Choice of the project that a page works in. */
import type { ReactNode } from "react";
import type { Schemas } from "../api/client";
import { useProject } from "../api/lists";
import { Empty, Loading } from "./basics";
import { SelectField } from "./fields";
import { ProblemNote } from "./problem";

type Project = Schemas["Project"];

/** Draws its child for the chosen project, with the choice above it if there are several. */
export function InProject({ children }: { children: (project: Project) => ReactNode }) {
  const { project, projects, choose, isPending, error } = useProject();
  if (isPending) return <Loading what="your projects" />;
  if (error) return <ProblemNote error={error} />;
  if (!project) {
    return (
      <Empty title="You have no project yet">
        Clusters, keys and file systems belong to a project. The owner of your organisation makes
        one: <code>gw project create NAME</code>.
      </Empty>
    );
  }
  return (
    <>
      {projects.length > 1 && (
        <div className="project-choice">
          <SelectField
            label="Project"
            value={project.id}
            options={projects.map((one) => ({ value: one.id, label: one.name }))}
            onChange={choose}
          />
        </div>
      )}
      {children(project)}
    </>
  );
}
